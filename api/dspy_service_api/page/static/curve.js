// Draws the search with uPlot in place of the server's picture: the same points, which can be pointed at.
"use strict";
(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const columns = ({ best, candidates, few }) => {
    const places = [...new Set([...best, ...candidates, ...few].map(([calls]) => calls))].sort((a, b) => a - b);
    const bestAt = new Map(best);
    const scoreAt = new Map(candidates);
    const fewAt = new Map(few);
    return [places, ...[bestAt, scoreAt, fewAt].map((at) => places.map((calls) => at.get(calls) ?? null))];
  };

  // As the server's picture has them: a single score is no reason to show all from 0 to 200.
  const bounds = (_, low, high) => {
    if (low == null) return [0, 1];
    const room = Math.max((high - low) * 0.15, 2);
    return [low >= 0 && low < room ? 0 : low - room, high + room];
  };

  const options = (width) => {
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    return {
      width,
      height: 240,
      scales: { x: { time: false, range: (_, low, high) => [0, high || 1] }, y: { range: bounds } },
      cursor: { y: false },
      legend: { live: true },
      axes: [{ ...axis, size: 34 }, { ...axis, size: 46 }],
      series: [
        { label: "metric calls", value: (_, value) => (value == null ? "–" : value.toLocaleString("en")) },
        {
          label: "best so far",
          stroke: colour("--accent"),
          width: 2,
          spanGaps: true,
          paths: uPlot.paths.stepped({ align: 1 }),
          points: { show: false },
          value: (_, value) => (value == null ? "–" : value.toFixed(1)),
        },
        {
          label: "candidate",
          stroke: colour("--mark"),
          paths: () => null,
          points: { show: true, size: 6, fill: colour("--mark") },
          value: (_, value) => (value == null ? "–" : value.toFixed(1)),
        },
        {
          label: "on fewer rows",
          stroke: colour("--mark"),
          paths: () => null,
          points: { show: true, size: 5, fill: colour("--sheet") },
          value: (_, value) => (value == null ? "–" : value.toFixed(1)),
        },
      ],
    };
  };

  const draw = (figure) => {
    const svg = figure.querySelector("svg");
    if (!svg || !window.uPlot) return;
    const said = svg.getAttribute("aria-label");
    const place = document.createElement("div");
    place.className = "plot";
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", said);
    const width = figure.clientWidth || 720;
    svg.replaceWith(place);
    const plot = new uPlot(options(width), columns(JSON.parse(figure.dataset.curve)), place);
    new ResizeObserver(() => plot.setSize({ width: figure.clientWidth, height: 240 })).observe(figure);
  };

  const drawAll = () => document.querySelectorAll("figure.curve").forEach(draw);
  document.addEventListener("DOMContentLoaded", drawAll);
  document.addEventListener("htmx:after:swap", drawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => location.reload());
})();
