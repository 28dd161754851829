"""A chromium, and pages of a wall that fail when they report an error or ask another host."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, expect, sync_playwright

from deploy.embedded import chromium
from deploy.embedded.places import silent

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def browser() -> Iterator[Browser]:
    """A chromium without a window."""
    expect.set_options(timeout=15_000)  # a screen that opens may see a picture up to a second old until the next wave, 5 s at most
    with sync_playwright() as player:
        found = player.chromium.launch(executable_path=chromium.ensure(silent), args=_FLAGS)
        yield found
        found.close()


def opened(page: Page, address: str) -> None:
    """Go there and wait until the first figures are drawn."""
    page.goto(address)
    page.wait_for_selector("html[data-ready]", timeout=20_000)


@contextmanager
def shown(browser: Browser, url: str, path: str, width: int = 1920, height: int = 1080) -> Iterator[Page]:
    """A page of the wall at `url`, its first figures drawn; fails when it reports an error or asks another host."""
    page = browser.new_page(viewport={"width": width, "height": height})
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith(url) else None)
    try:
        opened(page, url + path)
        yield page
    finally:
        page.close()
    assert wrong == []
