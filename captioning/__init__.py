"""Image captioning with swappable objectives, measured by COCO's metrics and by exactly known laws."""
