// Charts by uPlot, drawn from the points that the page gives with each.

const charts = new Map();

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function resolved(name) {
  const probe = document.createElement("span");
  probe.className = `tone-${name}`;
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function shown(unit, value) {
  if (value === null || value === undefined) return "–";
  if (unit === "s") {
    if (value < 1) return `${Math.round(value * 1000)} ms`;
    if (value < 120) return `${Number(value.toPrecision(3))} s`;
    if (value < 7200) return `${Math.round(value / 60)} m`;
    return `${Math.round(value / 3600)} h`;
  }
  return new Intl.NumberFormat(document.documentElement.dataset.language, { notation: value >= 10000 ? "compact" : "standard" }).format(value);
}

/** Of a logarithmic scale: its tens; of a short one also what is between. */
function tens(chart, splits) {
  const { min, max } = chart.scales.y;
  const wanted = Math.log10(max / min) > 2 ? [1] : [1, 2, 5];
  return splits.map((value) => (wanted.includes(Number((value / 10 ** Math.floor(Math.log10(value) + 1e-9)).toFixed(3))) ? value : null));
}

/** A moment on the axis: its time, or its day where the chart is of many. */
function stamp(at, times) {
  const long = times.at(-1) - times[0] > 2 * 86400;
  const utc = !document.cookie.includes("toril_zone=local");
  return new Intl.DateTimeFormat(document.documentElement.dataset.language, { ...(long ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }), timeZone: utc ? "UTC" : undefined }).format(new Date(at * 1000));
}

function draw(figure) {
  charts.get(figure)?.destroy();
  const plot = figure.querySelector(".plot");
  const points = JSON.parse(figure.dataset.points);
  if (!points.length || !window.uPlot) {
    figure.classList.add("no-plot");
    return;
  }
  const labels = JSON.parse(figure.dataset.labels);
  const kinds = figure.dataset.kinds.split(" ");
  const { unit } = figure.dataset;
  const times = points.map((point) => point[0]);
  const values = labels.map((_, place) => points.map((point) => point[place + 1]));
  const log = "log" in figure.dataset && values.some((each) => each.some((value) => value > 0));
  if (log) for (const each of values) for (let at = 0; at < each.length; at += 1) if (!(each[at] > 0)) each[at] = null;
  const axis = { stroke: resolved("soft"), grid: { stroke: resolved("line"), width: 1 }, ticks: { show: false }, font: `11px ${colour("font")}`, size: 46, gap: 4 };
  const zone = document.cookie.includes("toril_zone=local") ? undefined : "Etc/UTC";
  const chart = new window.uPlot({
    width: plot.clientWidth,
    height: 168,
    tzDate: (seconds) => zone ? window.uPlot.tzDate(new Date(seconds * 1000), zone) : new Date(seconds * 1000),
    cursor: { points: { size: 6 }, y: false },
    legend: { live: true },
    scales: { x: { time: true }, y: log ? { distr: 3 } : { range: (_, __, most) => [0, most > 0 ? most * 1.08 : 1] } },
    axes: [
      { ...axis, size: 26, values: (_, splits) => splits.map((at) => stamp(at, times)) },
      { ...axis, ...(log ? { grid: { ...axis.grid, filter: tens }, filter: tens } : {}), values: (_, splits) => splits.map((value) => (value === null ? "" : shown(unit, value))) },
    ],
    series: [
      { label: "", value: (_, at) => at === null || at === undefined ? "–" : new Intl.DateTimeFormat(document.documentElement.dataset.language, { dateStyle: "short", timeStyle: "short", timeZone: zone === undefined ? undefined : "UTC" }).format(new Date(at * 1000)) },
      ...labels.map((label, place) => {
        const tone = resolved(kinds[place] ?? "info");
        const alone = values[place].filter((value) => typeof value === "number").length === 1;  // no line leads to it
        return { label, stroke: tone, width: 1.5, fill: place === 0 && !log ? tone.replace("rgb(", "rgba(").replace(")", ", 0.12)") : undefined, points: { show: alone, size: 5, fill: tone }, spanGaps: true, value: (_, value) => shown(unit, value) };
      }),
    ],
  }, [times, ...values], plot);
  charts.set(figure, chart);
}

export function drawAll() {
  for (const [figure, chart] of charts) {
    if (!figure.isConnected) {
      chart.destroy();
      charts.delete(figure);
    }
  }
  for (const figure of document.querySelectorAll("[data-chart]")) draw(figure);
}

drawAll();
document.addEventListener("htmx:after:swap", drawAll);
document.addEventListener("toril:refreshed", () => {
  for (const figure of document.querySelectorAll("[data-chart]")) if (!charts.get(figure)?.root.isConnected || !figure.querySelector(".uplot")) draw(figure);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
let timer = 0;
addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(drawAll, 150); });
