// Buttons that unfold a form without scripts open a real dialog with them. Menus close by themselves.

import { reveal } from "./small.js";

document.addEventListener("click", (event) => {
  const summary = event.target.closest("details.opens > summary");
  if (summary) {
    const details = summary.parentElement;
    const dialog = details.querySelector(":scope > dialog");
    if (dialog && !details.open) {
      event.preventDefault();
      details.open = true;
      dialog.removeAttribute("open");  // not close(): that is told later, to the dialog that is open then
      reveal(dialog);
      dialog.showModal();
      dialog.addEventListener("close", () => { details.open = false; summary.focus(); dialog.setAttribute("open", ""); }, { once: true });
    }
    return;
  }
  const close = event.target.closest("[data-close]");
  if (close) close.closest("dialog").close();
  if (event.target.matches("dialog:modal")) event.target.close();  // its backdrop
  if (event.target.closest("[data-help]")) document.getElementById("help").showModal();
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// What needs scripts in parts that have been replaced.
document.addEventListener("htmx:after:swap", () => reveal(document));
