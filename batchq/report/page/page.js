"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { kinds, rows, lists, causes } = data;
  const size = 100; // rows drawn at a time
  const right = new Set(["id", "attempt", "started", "took"]);
  const wide = new Set(["label", "reason"]); // cells that may wrap
  const largestFirst = new Set(["attempt", "took"]);
  const body = document.querySelector("#table tbody");
  const find = document.getElementById("find");
  const heads = [...document.querySelectorAll("#table th")];
  let order = rows.map((_, n) => n), shown = order, page = 0, sorted = -1, down = false;

  const two = n => String(n).padStart(2, "0");

  function took(seconds) {
    if (seconds < 0.9995) return Math.round(seconds * 1000) + " ms";
    // Halves go to the even digit, as in the rows that are there without scripts.
    if (seconds < 59.95) return (seconds % 1 === 0.25 ? seconds - 0.05 : seconds).toFixed(1) + " s";
    const isHalf = seconds % 1 === 0.5 && Math.floor(seconds) % 2 === 0;
    const whole = isHalf ? Math.floor(seconds) : Math.round(seconds), minutes = Math.floor(whole / 60);
    if (whole < 3600) return minutes + " m " + two(whole % 60) + " s";
    if (minutes < 1440) return Math.floor(minutes / 60) + " h " + two(minutes % 60) + " m";
    return Math.floor(minutes / 1440) + " d " + two(Math.floor(minutes % 1440 / 60)) + " h";
  }

  // What a cell shows, for each kind of column.
  function text(kind, value) {
    if (kind === "reason") return value < 0 ? "" : lists.reason[value];
    if (kind in lists) return lists[kind][value];
    if (value === null || (kind === "attempt" && !value)) return "";
    if (kind === "started") {
      return new Date(data.start + value).toISOString().slice(data.dated ? 0 : 11, 19).replace("T", " ");
    }
    return kind === "took" ? took(value) : String(value);
  }

  // What a search looks at: everything that has letters, the ids of jobs and the ids of causes.
  function searched(row) {
    let all = "";
    kinds.forEach((kind, n) => {
      if (kind === "started" || kind === "took" || kind === "attempt") return;
      all += text(kind, row[n]) + " ";
      if (kind === "reason" && row[n] >= 0) all += causes[row[n]] + " ";
    });
    return all.toLowerCase();
  }

  function draw() {
    const fresh = document.createElement("tbody");
    for (const n of shown.slice(page * size, page * size + size)) {
      const line = fresh.insertRow();
      rows[n].forEach((value, k) => {
        const cell = line.insertCell(), kind = kinds[k];
        cell.textContent = text(kind, value);
        cell.className = kind === "state" ? cell.textContent : right.has(kind) ? "n" : wide.has(kind) ? "any" : "";
      });
    }
    body.replaceChildren(...fresh.children);
    const pages = Math.max(1, Math.ceil(shown.length / size)), all = rows.length.toLocaleString("en");
    document.getElementById("shown").textContent =
      (shown.length < rows.length ? shown.length.toLocaleString("en") + " of " : "") + all + (rows.length === 1 ? " job" : " jobs");
    document.getElementById("page").textContent = "page " + (page + 1) + " of " + pages;
    document.getElementById("back").disabled = page === 0;
    document.getElementById("next").disabled = page + 1 >= pages;
  }

  function choose() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = order.filter(n => {
      const all = words.length ? searched(rows[n]) : "";
      return words.every(word => all.includes(word));
    });
    page = 0;
    draw();
  }

  // Rows without a value come last in both directions; equal ones stay in the order of their ids.
  function sort(column) {
    const kind = kinds[column], value = row => kind in lists ? text(kind, row[column]) || null : row[column];
    down = sorted === column ? !down : largestFirst.has(kind);
    sorted = column;
    order.sort((a, b) => {
      const x = value(rows[a]), y = value(rows[b]);
      if (x === null || y === null) return (x === null) - (y === null) || rows[a][0] - rows[b][0];
      return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1) || rows[a][0] - rows[b][0];
    });
    heads.forEach((head, n) => {
      if (n === column) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    choose();
  }

  heads.forEach((head, n) => head.firstElementChild.addEventListener("click", () => sort(n)));
  find.addEventListener("input", choose);
  document.getElementById("back").addEventListener("click", () => { page--; draw(); });
  document.getElementById("next").addEventListener("click", () => { page++; draw(); });
  for (const link of document.querySelectorAll("[data-find]")) {
    link.addEventListener("click", () => { find.value = link.dataset.find; choose(); });
  }
  for (const tools of document.querySelectorAll(".tools")) tools.hidden = false;
  draw();
})();
