"""Training a captioner, by PyTorch Lightning."""
