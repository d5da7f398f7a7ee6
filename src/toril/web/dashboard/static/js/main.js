// What every page runs. Everything listens on the document, so parts of a page may be replaced.

import "./dialogs.js";
import "./keys.js";
import "./live.js";
import "./selection.js";
import "./small.js";

document.documentElement.classList.add("scripts");
