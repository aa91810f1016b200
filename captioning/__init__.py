"""Image captioning with swappable training objectives, measured against the COCO metrics and worlds whose law is known."""
