// The stepper of report.html: images pass through the network one after the other, as run or as drawn.
"use strict";
(() => {
  const figure = document.getElementById("stepper");
  const { first, labels, pictures, p } = JSON.parse(document.getElementById("stepper-data").textContent);
  const STAGES = 4;
  const ANSWER = { "as run": 2, "as drawn": 3 }; // The stage at which the readout answers.
  const count = (labels.length - 1) * STAGES; // The first image is only the one before.
  let at = ANSWER["as run"];

  const wiring = () => figure.querySelector("input:checked").value;
  const name = (image) => `image ${first + image}`;
  const part = (id) => figure.querySelector(`[data-part="${id}"]`);

  // One stage of an image: the images that h1 and h2 hold and whose the answer is, which of h1 and
  // h2 are read or written, what each box does, and a sentence.
  function stateOf(image, stage) {
    const before = image - 1;
    const now = name(image);
    const old = name(before);
    const enters = { h1: before, h2: before, text: `Image ${first + image} enters. h₁ and h₂ still hold ${old}.` };
    const reads = {
      box_1: `reads ${now}`,
      box_2: `reads ${now} and h₁ of ${old}`,
      readout: `reads h₂ of ${old}`,
    };
    const asRun = [
      enters,
      {
        h1: before, h2: before, read: ["h1", "h2"], ...reads,
        text: `Every read comes first: time box 2 reads h₁ and the readout reads h₂, both of ${old}.`,
      },
      {
        h1: before, h2: before, read: ["h1", "h2"], ...reads, answer: before,
        text: `The readout answers for ${old}`,
      },
      {
        h1: image, h2: image, written: ["h1", "h2"], ...reads, answer: before,
        box_1: `writes h₁ of ${now}`, box_2: `writes h₂ of ${now}`,
        text: `Only now time boxes 1 and 2 write h₁ and h₂ of ${now}. The next image will find them.`,
      },
    ];
    const box_1 = `reads ${now}, writes h₁`;
    const box_2 = `reads ${now} and h₁ of ${now}, writes h₂`;
    const asDrawn = [
      enters,
      { h1: image, h2: before, written: ["h1"], box_1, text: `Time box 1 writes h₁ of ${now}.` },
      {
        h1: image, h2: image, read: ["h1"], written: ["h2"], box_1, box_2,
        text: `Time box 2 reads h₁ of ${now} and writes h₂.`,
      },
      {
        h1: image, h2: image, read: ["h2"], box_1, box_2, readout: `reads h₂ of ${now}`, answer: image,
        text: `The readout answers for ${now}`,
      },
    ];
    return (wiring() === "as run" ? asRun : asDrawn)[stage];
  }

  function show() {
    const image = 1 + Math.floor(at / STAGES);
    const stage = at % STAGES;
    const state = stateOf(image, stage);
    const probability = p[wiring()][image];
    const prediction = Math.round(probability);
    const verdict = prediction === labels[image] ? "correct" : "wrong";

    for (const [id, of] of Object.entries({ x: image, h1: state.h1, h2: state.h2, readout: state.answer })) {
      const known = of !== undefined;
      const picture = part(id).querySelector("img");
      picture.hidden = !known;
      if (known) picture.src = pictures[of];
      part(id).querySelector(".of").textContent = known ? `${id === "readout" ? "for " : ""}${name(of)}` : "";
    }
    for (const id of ["h1", "h2"]) {
      const does = state.written?.includes(id) ? "written" : state.read?.includes(id) ? "read" : "";
      part(id).dataset.does = part(id).querySelector(".does").textContent = does;
    }
    for (const id of ["box_1", "box_2", "readout"]) {
      part(id).querySelector(".does").textContent = state[id] ?? "";
      part(id).classList.toggle("active", id in state);
    }
    const answered = state.answer !== undefined;
    part("readout").dataset.verdict = answered ? verdict : "";
    const answer = `p = ${probability.toFixed(2)}, so a ${prediction}`;
    part("p").textContent = answered ? `${answer}: ${verdict}` : "";
    part("label").textContent = `label ${labels[image]}`;
    part("text").textContent =
      stage === ANSWER[wiring()]
        ? `${state.text}: ${answer}. The label of ${name(image)} is ${labels[image]}: ${verdict}.`
        : state.text;
    part("step").textContent = `step ${at + 1} of ${count}`;
    part("back").setAttribute("aria-disabled", at === 0);
    part("forward").setAttribute("aria-disabled", at === count - 1);
    for (const cell of figure.querySelectorAll("[data-answer]")) {
      cell.classList.toggle("now", cell.dataset.answer === `${wiring()} ${image}`);
    }
  }

  function move(by) {
    at = Math.min(Math.max(at + by, 0), count - 1);
    show();
  }

  part("back").addEventListener("click", () => move(-1));
  part("forward").addEventListener("click", () => move(1));
  figure.querySelector(".controls").addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) move(by);
  });
  figure.querySelector("fieldset").addEventListener("change", () => {
    at += ANSWER[wiring()] - (at % STAGES); // To the answer for the same image.
    show();
  });
  figure.classList.add("live");
  show();
})();
