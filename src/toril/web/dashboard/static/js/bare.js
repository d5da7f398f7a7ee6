// Pages without the frame: a link that signs in goes on by itself; a store that was away is awaited.

import { awaitStore, noteZone } from "./small.js";

noteZone();
document.querySelector("form[data-send]")?.requestSubmit();
awaitStore();
