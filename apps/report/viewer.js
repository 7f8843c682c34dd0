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
  const labelled = (text, element) => {
    const label = make("label", {}, text);
    label.append(element);
    return label;
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
  const lines = make("input", { type: "checkbox" });
  const status = make("output", { "aria-live": "off" });
  controls.append(choice, play, slider, speed, labelled("line breaks", lines), status);
  lines.parentElement.prepend(lines);
  const stage = make("pre", { class: "stage", tabindex: 0, "aria-label": "Text of this step" });
  const legend = make("div", { class: "legend" });
  legend.append(make("span", {}, "confidence of what this step wrote:"));
  for (let k = 1; k <= shades; ++k) {
    const low = (k - 1) * 100 / shades;
    const entry = make("span");
    entry.append(make("span", { class: `fresh f${k}` }, `${low} to ${low + 100 / shades}%`));
    legend.append(entry);
  }
  box.prepend(controls, stage, legend);
  box.classList.add("live");

  let states = [], at = 0, timer = 0;

  // A "_" is masked unless it was written as one: it was fresh at some step and not masked since.
  const states_of = (generation) => {
    let known = [], before = [];
    return generation.frames.map((frame) => {
      const characters = Array.from(frame.text);
      const fresh = new Map(frame.fresh.map((position, k) => [position, frame.confidence[k]]));
      known = characters.map((character, i) =>
        character !== "_" || fresh.has(i) || (known[i] === true && before[i] === "_"));
      before = characters;
      return { step: frame.step, characters, fresh, known };
    });
  };

  const draw = () => {
    const state = states[at];
    const prompt = Array.from(generations[choice.value].prompt || "");
    const starts = prompt.every((character, i) => state.characters[i] === character);
    const parts = document.createDocumentFragment();
    let written = 0;
    state.characters.forEach((character, i) => {
      const known = state.known[i];
      written += known ? 1 : 0;
      const kinds = [];
      if (!known) kinds.push("masked");
      if (starts && i < prompt.length) kinds.push("prompt");
      if (state.fresh.has(i)) {
        const confidence = state.fresh.get(i) || 0;
        kinds.push("fresh", `f${Math.min(shades, 1 + Math.floor(confidence * shades))}`);
      }
      if (known && character === "\n") kinds.push("end");
      const shown = !known ? "·" : character === "\n" ? (lines.checked ? "↵\n" : "↵") : character;
      if (!kinds.length) return parts.append(shown);
      const span = make("span", { class: kinds.join(" ") }, shown);
      if (state.fresh.has(i)) span.title = `${Math.round(100 * (state.fresh.get(i) || 0))}%`;
      parts.append(span);
    });
    stage.replaceChildren(parts);
    slider.value = at;
    const share = Math.round(100 * written / state.characters.length);
    status.textContent = `step ${state.step} of ${states[states.length - 1].step}, ` +
      `${state.fresh.size} new, ${share}% written`;
    slider.setAttribute("aria-valuetext", status.textContent);
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
})();
