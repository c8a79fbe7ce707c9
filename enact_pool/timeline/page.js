// Draws the visible callables, and the exits and starts of workers; runs inside the page, after
// plotly has drawn the rest.
//
// Thousands of elements are slow in any browser. So callables that are too short to be
// distinguished are drawn as one bar if they have the same row and the same ending and begin at the
// same place; zooming in separates them. At most BUDGET bars are drawn (or as many as one pixel
// column of the screen needs).
"use strict";
const BUDGET = 4000;
const HOVER_LINES = 14;
const HOVER_WIDTH = 110;

const graph = document.getElementById("{plot_id}");
const data = JSON.parse(document.getElementById("columns").textContent);

function column(text, Numbers) {
  return new Numbers(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}

function marks(columns) {
  return {
    time: column(columns.time, Float64Array),
    row: column(columns.row, Uint32Array),
    pid: column(columns.pid, Uint32Array),
    reason: column(columns.reason, Uint32Array),
  };
}

const start = column(data.start, Float64Array);
const duration = column(data.duration, Float32Array);
const waited = column(data.waited, Float32Array);
const row = column(data.row, Uint32Array);
const ending = column(data.ending, Uint8Array);
const index = column(data.index, Uint32Array);
const pid = column(data.pid, Uint32Array);
const name = column(data.name, Uint32Array);
const error = column(data.error, Uint32Array);
const traceback = column(data.traceback, Uint32Array);
const deaths = marks(data.deaths);
const respawns = marks(data.respawns);
const endings = data.titles.length;

function seconds(time) {
  if (time >= 120) return `${Math.floor(time / 60)} min ${(time % 60).toFixed(0)} s`;
  if (time >= 1) return `${time.toFixed(3)} s`;
  return time >= 1e-3 ? `${(time * 1e3).toPrecision(3)} ms` : `${(time * 1e6).toPrecision(3)} µs`;
}

// The text of one callable.
function described(at) {
  const lines = [
    `${data.names[name[at]]}  (index ${index[at]})`,
    `${data.titles[ending[at]]}, ${seconds(duration[at])}`,
    `started at ${start[at].toFixed(4)} s, after waiting for ${seconds(waited[at])}`,
    `${data.rows[row[at]]}, worker ${pid[at]}`,
  ];
  if (error[at]) lines.push("", data.texts[error[at]]);
  if (traceback[at]) lines.push("", data.texts[traceback[at]].trimEnd());
  return lines.join("\n");
}

function describedBar(bar) {
  if (bar.count === 1) return described(bar.longest);
  const longest = `${data.names[name[bar.longest]]}  (index ${index[bar.longest]})`;
  return [
    `${bar.count.toLocaleString("en")} callables, all ${data.titles[ending[bar.longest]]}`,
    `from ${bar.start.toFixed(4)} s on, within ${seconds(bar.end - bar.start)}`,
    `the longest took ${seconds(duration[bar.longest])}: ${longest}`,
    `${data.rows[row[bar.longest]]}; zoom in to see each`,
  ].join("\n");
}

// A text as HTML, which plotly would interpret: names and errors may contain tags.
function hovertext(text) {
  let lines = text.split("\n");
  if (lines.length > HOVER_LINES) {
    const head = 6; // the description, and the first line of the error
    lines = [...lines.slice(0, head), "...", ...lines.slice(head + 1 - HOVER_LINES)];
  }
  return lines
    .map((line) => (line.length > HOVER_WIDTH ? `${line.slice(0, HOVER_WIDTH)}...` : line))
    .join("\n")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll("\n", "<br>");
}

// The bars between two times; callables that are shorter than a cell are drawn together.
function bars(from, to, cell) {
  const found = [];
  const latest = new Map();
  for (let at = 0; at < start.length; at++) {
    const end = start[at] + duration[at];
    if (end < from || start[at] > to) continue;
    const short = duration[at] < cell;
    const place = Math.floor(start[at] / cell);
    const key = row[at] * endings + ending[at];
    const last = short ? latest.get(key) : undefined;
    if (last !== undefined && last.place === place) {
      last.end = Math.max(last.end, end);
      last.work += duration[at];
      last.count++;
      if (duration[at] > duration[last.longest]) last.longest = at;
      continue;
    }
    const bar = { place, start: start[at], end, work: duration[at], count: 1, longest: at };
    if (short) latest.set(key, bar);
    found.push(bar);
  }
  return found;
}

// The exits or starts of workers; only the first of those in one cell of a row.
function marksBetween(all, from, to, cell, what) {
  const found = { x: [], y: [], hovertext: [] };
  const counts = new Map();
  for (let at = 0; at < all.time.length; at++) {
    if (all.time[at] < from || all.time[at] > to) continue;
    const key = `${all.row[at]} ${Math.floor(all.time[at] / cell)}`;
    const seen = counts.get(key);
    if (seen === undefined) counts.set(key, { at, count: 1 });
    else seen.count++;
  }
  for (const { at, count } of counts.values()) {
    const reason = data.texts[all.reason[at]];
    const more = count > 1 ? `\nand ${count - 1} more; zoom in to see each` : "";
    found.x.push(all.time[at]);
    found.y.push(all.row[at]);
    found.hovertext.push(
      hovertext(`${what} ${all.pid[at]} ${reason}`.trimEnd() +
        `\n${data.rows[all.row[at]]}, at ${all.time[at].toFixed(3)} s${more}`)
    );
  }
  return found;
}

function draw() {
  const [left, right] = graph.layout.xaxis.range.map(Number);
  const pixel = (right - left) / Math.max(200, graph.clientWidth - 130);
  // A margin on both sides, for dragging the axis.
  const from = left - (right - left) / 4;
  const to = right + (right - left) / 4;
  let cell = 2 * pixel;
  let found = bars(from, to, cell);
  while (found.length > BUDGET && cell < right - left) {
    cell *= 2;
    found = bars(from, to, cell);
  }
  const traces = data.titles.map(() => ({
    x: [], y: [], base: [], hovertext: [], customdata: [], edge: [],
  }));
  for (const bar of found) {
    const trace = traces[ending[bar.longest]];
    const alone = bar.count === 1 && bar.work >= 5 * pixel;
    trace.base.push(bar.start);
    // The sum of the durations: a few failed callables must not hide those between them. But
    // long enough to be visible, and to be pointed at.
    trace.x.push(Math.max(bar.work, 1.5 * pixel));
    trace.y.push(row[bar.longest]);
    trace.hovertext.push(hovertext(describedBar(bar)));
    trace.customdata.push(bar.longest);
    // A white edge separates neighbours.
    trace.edge.push(alone ? 1 : 0);
  }
  const ends = marksBetween(deaths, from, to, 8 * pixel, "worker");
  const starts = marksBetween(respawns, from, to, 8 * pixel, "new worker");
  const all = [...traces, ends, starts];
  // A key that a trace does not have stays unchanged.
  const each = (key) => all.map((trace) => trace[key]);
  return Plotly.restyle(
    graph,
    {
      x: each("x"),
      y: each("y"),
      base: each("base"),
      hovertext: each("hovertext"),
      customdata: each("customdata"),
      "marker.line.width": each("edge"),
    },
    all.map((_, number) => number)
  );
}

graph.on("plotly_relayout", draw);
graph.on("plotly_click", (click) => {
  const at = click.points[0].customdata;
  if (at === undefined) return;
  const kept = document.getElementById("kept");
  kept.textContent = described(at);
  kept.hidden = false;
});
draw().then(() => graph.setAttribute("data-drawn", "yes"));
