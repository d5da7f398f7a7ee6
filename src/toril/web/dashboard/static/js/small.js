// Small things: buttons that only work with scripts, copying, ages that count on, the zone.

const root = document.documentElement.dataset.root || "";

/** Show what needs scripts, within an element. */
export function reveal(within) {
  for (const each of within.querySelectorAll("[data-copy], [data-dismiss], [data-help], [data-close], [data-scripts]")) {
    each.hidden = false;
  }
}

/** Say something to those who cannot see it, at most once in ten seconds. */
let saidAt = 0;
export function say(text) {
  const spoken = document.getElementById("spoken");
  if (!spoken || Date.now() - saidAt < 10000) return;
  saidAt = Date.now();
  spoken.textContent = text;
}

/** On a narrow screen the navigation is one line: let it show where somebody is. */
function showPlace() {
  const link = document.querySelector(".side a[aria-current]");
  const bar = link?.closest(".side");
  if (bar && bar.scrollWidth > bar.clientWidth) {
    const from = link.getBoundingClientRect().left - bar.getBoundingClientRect().left;
    bar.scrollLeft += from - (bar.clientWidth - link.offsetWidth) / 2;
  }
}

/** Note the browser's time zone, in which the server writes moments if the reader wants that. */
export function noteZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.includes(`toril_tz=${zone}`)) {
    document.cookie = `toril_tz=${zone}; path=${root || "/"}; max-age=31536000; samesite=lax`;
  }
}

/** On a page that says that the store is away: load it again once it answers. */
export function awaitStore() {
  if (!document.querySelector("[data-away]")) return;
  const look = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(location.href, { headers: { "x-toril-refresh": "1" } });
        if (answer.status !== 503) return location.reload();
      } catch {
        // The server is away as well: go on looking.
      }
    }
    setTimeout(look, 2000);
  };
  setTimeout(look, 1000);
}

function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (large, unit, small, rest) => `${large}${unit}` + (small ? ` ${small}${rest}` : "");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return two(Math.floor(whole / 60), "m", whole % 60, "s");
  if (whole < 86400) return two(Math.floor(whole / 3600), "h", Math.floor((whole % 3600) / 60), "m");
  return two(Math.floor(whole / 86400), "d", Math.floor((whole % 86400) / 3600), "h");
}

export function countAges() {
  if (document.hidden) return;
  for (const each of document.querySelectorAll("time[data-ago]")) {
    each.textContent = span((Date.now() - Date.parse(each.dateTime)) / 1000);
  }
}

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    const text = copy.dataset.copy || copy.closest("figure").querySelector("pre").textContent;
    await navigator.clipboard.writeText(text);
    copy.classList.add("done");
    setTimeout(() => copy.classList.remove("done"), 1200);
  }
  event.target.closest("[data-dismiss]")?.parentElement.remove();
});

reveal(document);
noteZone();
showPlace();
awaitStore();
setInterval(countAges, 5000);
