"""Image captioning with swappable objectives, measured by COCO's metrics and exactly known laws."""
