"""How many images a second does explore.html decode in Chromium?

    python benchmarks/explore_rate.py outputs/latest             18 rounds of 100 images, where nothing else runs
    python benchmarks/explore_rate.py RUN --rounds 5 --images 50

The page of the run is opened without a window (extra `browser`: Playwright, and a Chromium). Its decoder, in a worker
as on the page, decodes drawn codes, round by round, and of the rounds' images a second, of the clock, median and
quartiles are told; the first round is not counted. Beside it, how many images a second come to be seen while a slider
moves: at most one in a frame, of which there are 60 a second.
"""

import argparse
import os
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vae_runner.runs.names import EXPLORER

__all__ = ["decoded", "seen"]

DECODED = """async ([rounds, images]) => {
    const known = JSON.parse(document.getElementById("known").textContent).runs[0];
    const script = [...document.scripts].at(-1).textContent;
    const last = "return { decoder, bytesOf, halves };", from = script.indexOf("function engine() {");
    const engine = script.slice(from, script.indexOf(last) + last.length) + "}";
    const text = `const make = (${engine})().decoder;
        onmessage = ({ data: [program, rounds, images] }) => {
            const { run } = make(program), rates = [], length = program.sizes[0];
            let seed = 1;
            const random = () => (seed = (seed * 16807) % 2147483647) / 1073741824 - 1;
            for (let round = 0; round <= rounds; round++) {
                const began = performance.now();
                for (let image = 0; image < images; image++) run(Float32Array.from({ length }, random));
                rates.push((1000 * images) / (performance.now() - began));
            }
            postMessage(rates.slice(1));
        };`;
    const worker = new Worker(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
    return new Promise((resolve, reject) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = (error) => reject(new Error(error.message));
        worker.postMessage([known.program, rounds, images]);
    });
}"""
SEEN = """async (seconds) => {
    const range = document.querySelector("input[data-latent]"), stage = document.querySelector("canvas.stage");
    let shown = 0;
    const watcher = new MutationObserver(() => shown++);
    watcher.observe(stage, { attributeFilter: ["data-shown"] });
    const began = performance.now();
    while (performance.now() - began < 1000 * seconds) {
        range.value = 3 * Math.sin((performance.now() - began) / 300);
        range.dispatchEvent(new Event("input"));
        await new Promise(requestAnimationFrame);
    }
    return shown / ((performance.now() - began) / 1000);
}"""


def decoded(page: Any, rounds: int, images: int) -> list[float]:
    """Returns images a second of each round."""
    rates: list[float] = page.evaluate(DECODED, [rounds, images])
    return rates


def seen(page: Any, seconds: float) -> float:
    """Returns how many images a second are seen while a slider moves."""
    return float(page.evaluate(SEEN, seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run's folder")
    parser.add_argument("--rounds", type=int, default=18)
    parser.add_argument("--images", type=int, default=100, help="of a round")
    given = parser.parse_args()
    file = (given.run / EXPLORER).resolve()
    if not file.is_file():
        parser.error(f"no {file}: vae-report {given.run} explore=true makes it")
    from playwright.sync_api import sync_playwright

    print(f"load of the machine {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(file.as_uri())
        page.wait_for_selector("canvas.stage[data-shown]")
        print(f"Chromium {browser.version}: {told(decoded(page, given.rounds, given.images))} images/s decoded")
        print(f"{seen(page, 3):.0f} images/s seen while a slider moves")
        browser.close()


def told(rates: Sequence[float]) -> str:
    low, middle, high = statistics.quantiles(rates, n=4) if len(rates) > 1 else [rates[0]] * 3
    return f"{middle:.0f} ({low:.0f} to {high:.0f})"


if __name__ == "__main__":
    main()
