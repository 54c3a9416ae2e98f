// The stepper of report.html: one image after the other passes through the network, as run or as drawn.
"use strict";
(() => {
  const figure = document.getElementById("stepper");
  const { first, labels, p } = JSON.parse(document.getElementById("stepper-data").textContent);
  const STAGES = 4;
  const count = (labels.length - 1) * STAGES; // The first image is only the one before.
  let at = 0;

  const wiring = () => figure.querySelector("input:checked").value;
  const name = (image) => `image ${first + image}`;
  const part = (id) => figure.querySelector(`[data-part="${id}"]`);

  // The image whose state h₁ and h₂ hold, and the sentence, at one stage of an image.
  function state(image, stage) {
    const before = image - 1;
    if (wiring() === "as run") {
      return {
        h1: stage < 3 ? before : image,
        h2: stage < 3 ? before : image,
        read: stage === 0 ? null : before,
        written: stage === 3 ? ["h1", "h2"] : [],
        text: [
          `${name(image)}, a ${labels[image]}, enters.`,
          `Every read comes first: time box 2 reads h₁ and the readout reads h₂, both of ${name(before)}.`,
          `The readout answers for ${name(before)}, a ${labels[before]}.`,
          `Only now time boxes 1 and 2 write h₁ and h₂ of ${name(image)}.`,
        ][stage],
        answers: before,
      };
    }
    return {
      h1: stage < 1 ? before : image,
      h2: stage < 2 ? before : image,
      read: stage < 2 ? null : image,
      written: [[], ["h1"], ["h2"], []][stage],
      text: [
        `${name(image)}, a ${labels[image]}, enters.`,
        `Time box 1 writes h₁ of ${name(image)}.`,
        `Time box 2 reads h₁ of ${name(image)} and writes h₂.`,
        `The readout reads h₂ of ${name(image)} and answers for it.`,
      ][stage],
      answers: image,
    };
  }

  function show() {
    const image = 1 + Math.floor(at / STAGES);
    const stage = at % STAGES;
    const now = state(image, stage);
    const answered = stage >= (wiring() === "as run" ? 2 : 3);
    const probability = p[wiring()][image];
    const correct = Math.round(probability) === labels[image];
    const verdict = `p = ${probability.toFixed(2)}, so a ${Math.round(probability)}; the label of ${name(image)} is ${labels[image]}: ${correct ? "correct" : "wrong"}.`;
    const pictures = { x: image, h1: now.h1, h2: now.h2, answer: answered ? now.answers : null };
    for (const [id, of] of Object.entries(pictures)) {
      part(id).querySelector("img").hidden = of === null;
      if (of !== null) part(id).querySelector("img").src = figure.querySelectorAll(".source")[of].src;
      part(id).querySelector(".of").textContent = of === null ? "" : name(of);
      part(id).classList.toggle("written", now.written.includes(id));
    }
    part("answer").classList.toggle("wrong", answered && !correct);
    part("text").textContent = `${now.text}${answered ? ` ${verdict}` : ""}`;
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
