// The graph of a flow: larger and smaller, and dragged about. It can be read without.

let scale = 1;

const graph = () => document.querySelector("[data-graph]");

function draw() {
  const svg = graph();
  if (!svg) return;
  const { width, height } = svg.viewBox.baseVal;
  svg.setAttribute("width", Math.round(width * scale));
  svg.setAttribute("height", Math.round(height * scale));
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-zoom]");
  const svg = graph();
  if (!button || !svg) return;
  const { width, height } = svg.viewBox.baseVal;
  const room = svg.parentElement;
  if (button.dataset.zoom === "fit") scale = Math.min(1, room.clientWidth / width, 600 / height);
  else scale *= button.dataset.zoom === "in" ? 1.25 : 0.8;
  scale = Math.min(3, Math.max(0.2, scale));
  draw();
});

let from = null;
let dragged = false;

document.addEventListener("pointerdown", (event) => {
  const room = event.target.closest(".canvas");
  dragged = false;
  if (!room || event.pointerType !== "mouse" || event.button !== 0) return;
  from = { room, x: event.clientX + room.scrollLeft, y: event.clientY + room.scrollTop };
});
document.addEventListener("pointermove", (event) => {
  if (!from) return;
  const left = from.x - event.clientX;
  const top = from.y - event.clientY;
  if (Math.abs(left - from.room.scrollLeft) + Math.abs(top - from.room.scrollTop) > 4) dragged = true;
  from.room.scrollLeft = left;
  from.room.scrollTop = top;
});
document.addEventListener("pointerup", () => (from = null));
document.addEventListener("dragstart", (event) => event.target.closest?.(".canvas") && event.preventDefault());
document.addEventListener("click", (event) => {
  if (dragged && event.target.closest(".canvas")) event.preventDefault();
  dragged = false;
}, true);

document.addEventListener("htmx:after:swap", draw);
document.addEventListener("toril:refreshed", draw);
