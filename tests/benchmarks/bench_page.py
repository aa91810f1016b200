"""How long the page of a comparison takes until its images can be sorted, by their number.

    python tests/benchmarks/bench_page.py

Headless Chromium opens pages of made-up photographs, 13 kB each, with captions of six rows. The
time is that from the request of the page to the end of its script, the least of five, in turns.
"""

import io
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from captioning.comparison.compared import Compared
from captioning.comparison.gallery import Image, Said
from captioning.comparison.page import Comparison, write_page
from captioning.report.gallery import Thumbnail
from captioning.report.html import data_address
from captioning.runs import Evaluation

FEW, MANY = 50, 5000
ROWS = 6
TIMES = 5
WIDTH, HEIGHT = 192, 128
WAIT = """<!doctype html><title>wait</title><iframe></iframe><p></p><script>
  const frame = document.querySelector("iframe");
  const start = performance.now();
  frame.onload = () => {
    const [time, page] = [performance.now() - start, frame.contentDocument];
    const cards = page.querySelectorAll("article").length;
    const count = page.getElementById("count").textContent;
    document.querySelector("p").textContent = `${count}, ${cards} cards, ${time} ms`;
  };
  frame.src = "report.html";
</script>"""


def photographs(count: int) -> list[Image]:
    """As many images, each of its own bytes, with a caption of ten words by every row."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (HEIGHT // 2, WIDTH // 2, 3), dtype=np.uint8)
    content = io.BytesIO()
    Picture.fromarray(pixels).resize((WIDTH, HEIGHT)).save(content, "JPEG", quality=75)
    made = []
    for number in range(count):
        own = content.getvalue() + number.to_bytes(4, "big")  # which a decoder ignores
        words = " ".join(f"word{each}" for each in generator.integers(0, 1000, 10))
        said = [Said(f"{words} {row}", float(generator.random()), None) for row in range(ROWS)]
        thumbnail = Thumbnail(data_address("jpeg", own), WIDTH, HEIGHT, False)
        made.append(Image(f"{number}.jpg", thumbnail, said, [words] * 5))
    return made


def make_page(folder: Path, count: int) -> Path:
    """Write a page of images and nothing else, and beside it one that waits for it."""
    texts = ("data", "test", "greedy", "signature")
    nothing: dict[str, dict[str, float]] = {}
    evaluation = Evaluation(folder, *texts, *[{}, *[nothing] * 3, *[{}] * 4], images=count)
    rows = [Compared(f"row {row}", evaluations=(evaluation,)) for row in range(ROWS)]
    page = write_page(folder, Comparison("x", rows, [], [], {}, photographs(count), [], count, {}))
    (folder / "wait.html").write_text(WAIT)
    return page


def opened(browser: str, folder: Path) -> float:
    """Milliseconds until the page in a folder is ready."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    options += [f"--user-data-dir={folder / 'browser'}", "--dump-dom"]
    address = (folder / "wait.html").as_uri()
    found = subprocess.run([browser, *options, address], capture_output=True, check=True, text=True)
    (time,) = re.findall(r"images, \d+ cards, ([\d.]+) ms", found.stdout)
    return float(time)


def main() -> None:
    """Print the times of few and of many images, and their ratio."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        print("no Chromium: apt-get install chromium")
        return
    with tempfile.TemporaryDirectory() as name:
        folders = {count: Path(name, str(count)) for count in (FEW, MANY)}
        sizes = {count: make_page(each, count).stat().st_size for count, each in folders.items()}
        times: dict[int, list[float]] = {FEW: [], MANY: []}
        for _ in range(TIMES):
            for count, folder in folders.items():
                times[count].append(opened(browser, folder))
    for count in (FEW, MANY):
        print(f"{count:5} images  {sizes[count] / 1e6:5.1f} MB  {min(times[count]):6.0f} ms")
    print(f"ratio {min(times[MANY]) / min(times[FEW]):.1f}")


if __name__ == "__main__":
    main()
