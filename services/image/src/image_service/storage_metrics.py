"""What Prometheus is told of the storage's sweeps."""

from prometheus_client import Counter, Gauge

ORPHANS = Counter("image_orphan_files_removed", "Files in the storage that were nobody's")
MISSING = Gauge("image_missing_pictures", "Pictures whose files are not in the storage; anything but 0 is an alarm")
LOST = Counter("image_lost_pictures", "Pictures given up as missing for too long, and refunded")
ILL_PAGES = Counter(
    "image_storage_ill_pages", "Times that a sweep saw too much amiss to believe it; any is an alarm", ["sweep"]
)
