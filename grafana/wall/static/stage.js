// A screen nobody sits at: no cursor, full screen on `f`, and everything moved by a few pixels now and then, so that nothing burns in.

const SHIFT_EVERY = 180_000, PIXELS = 4;
const ROUND = [[0, 0], [1, 0], [1, 1], [0, 1], [-1, 1], [-1, 0], [-1, -1], [0, -1], [1, -1]];

export function dress() {
  const root = window.top.document.documentElement;
  document.documentElement.classList.add("kiosk");
  document.addEventListener("keydown", (event) => {
    if (event.key !== "f" || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (root.ownerDocument.fullscreenElement) root.ownerDocument.exitFullscreen();
    else root.requestFullscreen().catch(() => undefined);
  });
  if (window.top !== window) return;
  const shift = () => {
    const [x, y] = ROUND[Math.floor(Date.now() / SHIFT_EVERY) % ROUND.length];
    document.body.style.transform = x || y ? `translate(${x * PIXELS}px, ${y * PIXELS}px)` : "";
  };
  shift();
  setInterval(shift, 1000);
}
