"""What a captioner's captions are worth, and how far its own law is from the true one."""
