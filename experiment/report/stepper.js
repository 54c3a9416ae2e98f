// The stepper of report.html: one image after the other passes through the network, as run or as drawn.
"use strict";
(() => {
  const figure = document.getElementById("stepper");
  const { first, labels, p } = JSON.parse(document.getElementById("stepper-data").textContent);
  const STAGES = 4;
  const count = (labels.length - 1) * STAGES; // The first image is only the one before.
  let at = 2; // Where the readout answers late.

  const wiring = () => figure.querySelector("input:checked").value;
  const name = (image) => `image ${first + image}`;
  const part = (id) => figure.querySelector(`[data-part="${id}"]`);

  // The images that h₁ and h₂ hold, what is read and written, and the sentence, at one stage of an image.
  function state(image, stage) {
    const before = image - 1;
    const enters = { h1: before, h2: before, does: {}, text: `${name(image)}, a ${labels[image]}, enters.` };
    const asRun = [
      enters,
      {
        h1: before, h2: before, does: { h1: "read", h2: "read" },
        text: `Every read comes first: time box 2 reads h₁ and the readout reads h₂, both of ${name(before)}.`,
      },
      {
        h1: before, h2: before, does: {}, answers: before,
        text: `The readout answers for ${name(before)}, a ${labels[before]}.`,
      },
      {
        h1: image, h2: image, does: { h1: "written", h2: "written" }, answers: before,
        text: `Only now time boxes 1 and 2 write h₁ and h₂ of ${name(image)}.`,
      },
    ];
    const asDrawn = [
      enters,
      { h1: image, h2: before, does: { h1: "written" }, text: `Time box 1 writes h₁ of ${name(image)}.` },
      {
        h1: image, h2: image, does: { h1: "read", h2: "written" },
        text: `Time box 2 reads h₁ of ${name(image)} and writes h₂.`,
      },
      {
        h1: image, h2: image, does: { h2: "read" }, answers: image,
        text: `The readout reads h₂ of ${name(image)} and answers for it.`,
      },
    ];
    return (wiring() === "as run" ? asRun : asDrawn)[stage];
  }

  function show() {
    const image = 1 + Math.floor(at / STAGES);
    const now = state(image, at % STAGES);
    const answered = now.answers !== undefined;
    const probability = p[wiring()][image];
    const prediction = Math.round(probability);
    const correct = prediction === labels[image];
    const holds = { x: image, h1: now.h1, h2: now.h2, answer: now.answers };
    for (const [id, of] of Object.entries(holds)) {
      const picture = part(id).querySelector("img");
      picture.hidden = of === undefined;
      if (of !== undefined) picture.src = figure.querySelectorAll(".source")[of].src;
      part(id).querySelector(".of").textContent = of === undefined ? "" : name(of);
      const does = now.does[id] ?? "";
      part(id).querySelector(".does").textContent = does;
      part(id).dataset.does = does;
    }
    part("answer").classList.toggle("wrong", answered && !correct);
    const verdict =
      ` p = ${probability.toFixed(2)}, so a ${prediction}. ` +
      `The label of ${name(image)} is ${labels[image]}: ${correct ? "correct" : "wrong"}.`;
    part("text").textContent = now.text + (answered ? verdict : "");
    part("step").textContent = `step ${at + 1} of ${count}`;
    part("back").disabled = at === 0;
    part("forward").disabled = at === count - 1;
  }

  function move(by) {
    at = Math.min(Math.max(at + by, 0), count - 1);
    show();
  }

  part("back").addEventListener("click", () => move(-1));
  part("forward").addEventListener("click", () => move(1));
  for (const input of figure.querySelectorAll("input")) input.addEventListener("change", show);
  figure.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by && event.target.type !== "radio") {
      event.preventDefault();
      move(by);
    }
  });
  figure.classList.add("live");
  show();
})();
