// Rows that are chosen: ranges with Shift, all of a page, and the bar that says how many.

import { hold } from "./live.js";

let last = null;

const picks = () => [...document.querySelectorAll("[data-pick]")];

/** Bring the bar, the rows and the box in the head in line with what is chosen. */
export function tally() {
  const all = picks();
  const chosen = all.filter((box) => box.checked);
  for (const box of all) box.closest("tr").setAttribute("aria-selected", String(box.checked));
  const head = document.querySelector("[data-pick-all]");
  if (head) {
    head.checked = all.length > 0 && chosen.length === all.length;
    head.indeterminate = chosen.length > 0 && !head.checked;
  }
  for (const bar of document.querySelectorAll("[data-picked-bar]")) {
    bar.hidden = chosen.length === 0;
    const count = bar.querySelector("[data-picked]");
    if (count) count.textContent = count.dataset.picked.replace("0", String(chosen.length));
  }
  hold("selection", chosen.length > 0);
}

document.addEventListener("click", (event) => {
  const box = event.target.closest("[data-pick]");
  if (box) {
    const all = picks();
    if (event.shiftKey && last && last.isConnected) {
      const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((a, b) => a - b);
      for (const each of all.slice(from, to + 1)) each.checked = box.checked;
    }
    last = box;
    tally();
  }
  const head = event.target.closest("[data-pick-all]");
  if (head) {
    for (const each of picks()) each.checked = head.checked;
    tally();
  }
  if (event.target.closest("[data-pick-none]")) {
    for (const each of picks()) each.checked = false;
    tally();
  }
});

document.addEventListener("htmx:after:swap", tally);
if (document.querySelector("[data-pick]")) tally();
