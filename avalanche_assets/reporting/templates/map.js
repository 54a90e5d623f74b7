// Pans and zooms the inline map, ties it to the table, and sorts the table. Nothing is fetched.
(() => {
  const map = document.getElementById("map");
  const svg = map.querySelector(".canvas"), card = map.querySelector(".card");
  const scale = map.querySelector(".scale"), where = map.querySelector(".where");
  const full = svg.viewBox.baseVal, width = full.width, height = full.height;
  const geography = JSON.parse(svg.dataset.geography);
  const DEEPEST = 40;
  let view = { x: 0, y: 0, w: width };

  const ratio = () => svg.clientHeight / svg.clientWidth;
  const widest = () => Math.max(width, height / ratio());

  function draw() {
    view.w = Math.min(Math.max(view.w, width / DEEPEST), widest());
    const h = view.w * ratio();
    const within = (at, size, whole) => size >= whole ? (whole - size) / 2 : Math.min(Math.max(at, 0), whole - size);
    view.x = within(view.x, view.w, width);
    view.y = within(view.y, h, height);
    svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.w} ${h}`);
    const k = view.w / svg.clientWidth;
    svg.style.setProperty("--k", k);
    const hatch = document.getElementById("hatch");
    hatch.setAttribute("width", 7 * k);
    hatch.setAttribute("height", 7 * k);
    hatch.lastElementChild.setAttribute("width", 1.6 * k);
    // At full extent one finger scrolls the page, zoomed in it moves the map.
    svg.style.touchAction = view.w < widest() * 0.999 ? "none" : "pan-y";
    drawScale(k * geography.unit);
  }

  function drawScale(metresPerPixel) {
    const wanted = 130 * metresPerPixel, power = 10 ** Math.floor(Math.log10(wanted));
    const length = [5, 2, 1].map(step => step * power).find(step => step <= wanted) || power;
    scale.querySelector("span").textContent = length >= 1000 ? `${length / 1000} km` : `${length} m`;
    scale.querySelector("i").style.width = `${length / metresPerPixel}px`;
  }

  function place(x, y) { // longitude and latitude by quadratics through nine places
    const weights = t => [2 * (t - 0.5) * (t - 1), -4 * t * (t - 1), 2 * t * (t - 0.5)];
    const across = weights(x / width), down = weights(y / height);
    return [0, 1].map(part => down.reduce((sum, v, row) =>
      sum + v * across.reduce((inner, u, col) => inner + u * geography.places[3 * row + col][part], 0), 0));
  }

  function at(event) {
    const box = svg.getBoundingClientRect();
    return [view.x + (event.clientX - box.left) / box.width * view.w,
            view.y + (event.clientY - box.top) / box.height * view.w * ratio()];
  }

  function zoom(factor, centre) {
    const [x, y] = centre || [view.x + view.w / 2, view.y + view.w * ratio() / 2];
    const before = view.w;
    view.w = Math.min(Math.max(view.w / factor, width / DEEPEST), widest());
    view.x = x - (x - view.x) * view.w / before;
    view.y = y - (y - view.y) * view.w / before;
    draw();
  }

  const fingers = new Map();
  let moved = 0;
  svg.addEventListener("pointerdown", event => {
    fingers.set(event.pointerId, event);
    if (fingers.size === 1) moved = 0;
  });
  svg.addEventListener("pointermove", event => {
    const [lon, lat] = place(...at(event));
    where.textContent = `${lat.toFixed(4)}° N  ${lon.toFixed(4)}° E`;
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const k = view.w / svg.clientWidth;
    const others = [...fingers.values()].filter(finger => finger.pointerId !== event.pointerId);
    moved += Math.abs(event.clientX - before.clientX) + Math.abs(event.clientY - before.clientY);
    if (moved > 4 && !svg.hasPointerCapture(event.pointerId)) { svg.setPointerCapture(event.pointerId); svg.classList.add("moving"); }
    if (others.length === 1) {
      const other = others[0], apart = one => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      zoom(apart(event) / Math.max(apart(before), 1), at({ clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 }));
    } else if (moved > 4) {
      view.x -= (event.clientX - before.clientX) * k;
      view.y -= (event.clientY - before.clientY) * k;
      draw();
    }
    fingers.set(event.pointerId, event);
  });
  for (const name of ["pointerup", "pointercancel"]) svg.addEventListener(name, event => {
    fingers.delete(event.pointerId);
    svg.classList.remove("moving");
  });
  svg.addEventListener("pointerleave", () => { where.textContent = ""; });
  svg.addEventListener("wheel", event => {
    // Only a map that was touched takes the wheel away from the page.
    if (!event.ctrlKey && document.activeElement !== svg && !svg.contains(document.activeElement)) return;
    event.preventDefault();
    zoom(2 ** (-event.deltaY / 400), at(event));
  }, { passive: false });
  svg.addEventListener("dblclick", event => { event.preventDefault(); zoom(2, at(event)); });
  svg.addEventListener("keydown", event => {
    const step = view.w / 6;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (moves[event.key]) { view.x += moves[event.key][0]; view.y += moves[event.key][1]; draw(); }
    else if (event.key === "+" || event.key === "=") zoom(1.6);
    else if (event.key === "-") zoom(1 / 1.6);
    else if (event.key === "Escape") choose(null);
    else return;
    event.preventDefault();
  });
  for (const button of map.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => {
    const factor = Number(button.dataset.zoom);
    if (factor) zoom(factor); else { view = { x: 0, y: 0, w: widest() }; draw(); }
  });

  const row = corridor => document.getElementById(`d-${corridor}`);
  function choose(corridor, title) {
    for (const chosen of document.querySelectorAll(".chosen")) chosen.classList.remove("chosen");
    card.hidden = !corridor;
    if (!corridor) return;
    card.replaceChildren();
    const close = document.createElement("button");
    close.textContent = "×";
    close.addEventListener("click", () => choose(null));
    const heading = document.createElement("h3");
    heading.textContent = title;
    card.append(close, heading);
    const found = row(corridor);
    if (!found) return;
    found.classList.add("chosen");
    const mark = svg.querySelector(`.mark[data-corridor="${CSS.escape(corridor)}"]`);
    if (mark) mark.classList.add("chosen");
    const list = document.createElement("dl");
    for (const cell of found.cells) if (cell.dataset.card !== undefined) {
      const term = document.createElement("dt"), text = document.createElement("dd");
      term.textContent = cell.dataset.label;
      text.textContent = cell.innerText;
      list.append(term, text);
    }
    card.append(list);
  }
  svg.addEventListener("click", event => {
    if (moved > 4) return;
    const target = event.target.closest("[data-corridor]");
    choose(target && target.dataset.corridor, target && target.querySelector("title").textContent);
  });
  for (const button of document.querySelectorAll(".find")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const mark = svg.querySelector(`.mark[data-corridor="${CSS.escape(button.value)}"]`);
      const [x, y] = mark.parentNode.getAttribute("transform").match(/-?\d+/g).map(Number);
      view.w = Math.min(widest(), 6000 / geography.unit);
      view.x = x - view.w / 2;
      view.y = y - view.w * ratio() / 2;
      draw();
      choose(button.value, mark.querySelector("title").textContent);
      map.scrollIntoView({ behavior: "smooth", block: "start" });
    });
  }
  for (const box of map.querySelectorAll("[data-layer]")) box.addEventListener("change", () =>
    svg.classList.toggle(`no-${box.dataset.layer}`, !box.checked));

  map.querySelector(".tools").hidden = scale.hidden = false;
  view.w = widest();
  draw();
  addEventListener("resize", draw);
})();
