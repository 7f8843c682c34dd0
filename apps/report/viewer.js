"use strict";
// Steps through the generations of the page. Without it the page shows their final texts.
(() => {
  const box = document.getElementById("generations");
  if (!box) return;
  const generations = JSON.parse(box.querySelector("script").textContent);
  const speeds = [["slow", 600], ["normal", 220], ["fast", 70]];
  const shades = 5;

  const make = (name, attributes = {}, text = "") => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    return element;
  };
  const checkbox = (text) => {
    const input = make("input", { type: "checkbox" });
    const label = make("label");
    label.append(input, text);
    return [input, label];
  };

  const controls = make("div", { class: "controls" });
  const choice = make("select", { "aria-label": "Generation" });
  generations.forEach((generation, k) => {
    choice.append(make("option", { value: k }, `${generation.title} (${generation.settings})`));
  });
  const play = make("button", { type: "button" }, "Play");
  const slider = make("input", { type: "range", min: 0, value: 0, "aria-label": "Step" });
  const speed = make("select", { "aria-label": "Speed" });
  speeds.forEach(([name, delay]) => speed.append(make("option", { value: delay }, name)));
  speed.value = speeds[1][1];
  const [lines, lines_label] = checkbox("line breaks");
  const [all, all_label] = checkbox("shade all steps");
  const status = make("output", { "aria-live": "off" });
  controls.append(choice, play, slider, speed, lines_label, all_label, status);
  const stage = make("pre", { class: "stage", tabindex: 0, "aria-label": "Text of this step" });
  const legend = make("div", { class: "legend" });
  legend.append(make("span", {}, "confidence:"));
  for (let k = 1; k <= shades; ++k) {
    const low = (k - 1) * 100 / shades;
    const entry = make("span");
    entry.append(make("span", { class: `fresh f${k}` }, `${low} to ${low + 100 / shades}%`));
    legend.append(entry);
  }
  const readout = make("output", { "aria-live": "off" });
  legend.append(readout);
  box.prepend(controls, stage, legend);
  box.classList.add("live");

  let states = [], at = 0, timer = 0;

  // Of each frame its characters; which of them it wrote; and of each, when it was written, how
  // confidently, or that it was given. A "_" is masked unless it was written as one or given.
  const states_of = (generation) => {
    const ever = new Set(generation.frames.flatMap((frame) => frame.fresh));
    let before = [];
    return generation.frames.map((frame) => {
      const fresh = new Map(frame.fresh.map((position, k) => [position, frame.confidence[k]]));
      const cells = Array.from(frame.text).map((character, i) => {
        if (!ever.has(i)) return { character, given: true };
        if (fresh.has(i)) return { character, step: frame.step, confidence: fresh.get(i) || 0 };
        const old = before[i];
        return old && old.character === character ? old : { character, masked: true };
      });
      before = cells;
      return { step: frame.step, cells, fresh };
    });
  };

  const draw = () => {
    const state = states[at];
    const parts = document.createDocumentFragment();
    let written = 0;
    state.cells.forEach((cell, i) => {
      written += cell.masked ? 0 : 1;
      const kinds = [];
      if (cell.masked) kinds.push("masked");
      if (cell.given) kinds.push("prompt");
      if (state.fresh.has(i) || (all.checked && "confidence" in cell)) {
        kinds.push("fresh", `f${Math.min(shades, 1 + Math.floor(cell.confidence * shades))}`);
        if (all.checked && state.fresh.has(i)) kinds.push("new");
      }
      const end = !cell.masked && cell.character === "\n";
      if (end) kinds.push("end");
      const shown = cell.masked ? "·" : end ? (lines.checked ? "↵\n" : "↵") : cell.character;
      parts.append(make("span", { class: kinds.join(" "), "data-cell": i }, shown));
    });
    stage.replaceChildren(parts);
    readout.textContent = "";
    slider.value = at;
    const share = Math.round(100 * written / state.cells.length);
    status.textContent = `step ${state.step} of ${states[states.length - 1].step}, ` +
      `${state.fresh.size} new, ${share}% written`;
    slider.setAttribute("aria-valuetext", status.textContent);
  };

  const tell = (event) => {
    const cell = states[at].cells[event.target.dataset.cell];
    readout.textContent = !cell ? "" : cell.masked ? "masked" : cell.given ? "given" :
      `${JSON.stringify(cell.character)}: ${Math.round(100 * cell.confidence)}%, step ${cell.step}`;
  };

  const pause = () => {
    clearTimeout(timer);
    timer = 0;
    play.textContent = "Play";
  };
  const go = (to) => {
    at = Math.max(0, Math.min(states.length - 1, to));
    draw();
  };
  const tick = () => {
    if (at === states.length - 1) return pause();
    go(at + 1);
    timer = setTimeout(tick, Number(speed.value));
  };
  const toggle = () => {
    if (timer) return pause();
    if (at === states.length - 1) go(0);
    play.textContent = "Pause";
    timer = setTimeout(tick, Number(speed.value));
  };
  const choose = () => {
    pause();
    states = states_of(generations[choice.value]);
    slider.max = states.length - 1;
    go(0);
  };

  play.addEventListener("click", toggle);
  choice.addEventListener("change", choose);
  lines.addEventListener("change", draw);
  all.addEventListener("change", draw);
  stage.addEventListener("pointerover", tell);
  stage.addEventListener("pointerleave", tell);
  slider.addEventListener("input", () => {
    pause();
    go(Number(slider.value));
  });
  const keys = {
    ArrowLeft: () => go(at - 1), ArrowRight: () => go(at + 1), Home: () => go(0),
    End: () => go(states.length - 1),
  };
  box.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.tagName === "SELECT") return;
    if (event.key === " " && event.target === stage) {
      event.preventDefault();
      return toggle();
    }
    if (!keys[event.key]) return;
    event.preventDefault();
    pause();
    keys[event.key]();
  });
  choose();
  // A page of generations alone is ready for keys.
  if (document.querySelector("section") === box.closest("section")) stage.focus({ preventScroll: true });
})();
