// Sorts and filters the images of the page; what is shown stands in the address, behind the #.
"use strict";
(() => {
  const STEP = 24; // cards that are made at a time
  const MOST = 240; // cards on the page at a time
  const { rows, images } = JSON.parse(document.getElementById("images-data").textContent);
  const form = document.getElementById("choose");
  const cards = document.getElementById("cards");
  const count = document.getElementById("count");
  const more = document.getElementById("more");
  const back = document.getElementById("back");
  const blank = cards.firstElementChild.cloneNode(true);
  const pictures = document.querySelectorAll("template"); // inert: those not shown are not decoded
  const [CAPTION, SCORE, FAULT] = [0, 1, 2];
  let shown = []; // places of the images that pass the filter, in their order
  let first = 0; // of those on the page, among the shown

  const scores = (image) => image.said.map((said) => said[SCORE]).filter((score) => score !== null);
  const gap = (image) => Math.max(...scores(image)) - Math.min(...scores(image));
  const orders = {
    file: null,
    worst: (image, row) => image.said[row][SCORE],
    best: (image, row) => -image.said[row][SCORE],
    gap: (image) => -gap(image),
  };

  function sorted(places, choice) {
    const key = orders[choice.sort];
    if (!key) return places;
    const row = Number(choice.row);
    const known = places.filter((place) => images[place].said[row][SCORE] !== null);
    const unknown = places.filter((place) => images[place].said[row][SCORE] === null);
    const keys = new Map(known.map((place) => [place, key(images[place], row)]));
    return known.sort((a, b) => keys.get(a) - keys.get(b) || a - b).concat(unknown);
  }

  function beats(image, better, than) {
    const others = image.said.filter((_, row) => (than ? row === Number(than) : row !== better));
    const score = image.said[better][SCORE];
    return score !== null && others.every((said) => said[SCORE] !== null && score > said[SCORE]);
  }

  function passes(image, choice) {
    const { said, references } = image;
    const words = choice.text.trim().toLowerCase();
    const texts = [...said.map((each) => each[CAPTION]), ...references];
    if (words && !texts.some((text) => text.toLowerCase().includes(words))) return false;
    if (choice.better && !beats(image, Number(choice.better), choice.than)) return false;
    if (choice.fault === "any") return said.some((each) => each[FAULT] !== null);
    return !choice.fault || said[choice.fault][FAULT] !== null;
  }

  function put(list, texts) {
    list.replaceChildren(...texts.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }));
  }

  function make(place) {
    const image = images[place];
    const card = blank.cloneNode(true);
    card.querySelector(".seen").replaceChildren(pictures[place].content.cloneNode(true));
    const best = Math.max(...scores(image));
    card.querySelectorAll(".said").forEach((line, row) => {
      const [caption, score, fault] = image.said[row];
      line.querySelector(".caption").textContent = caption || "(no word)";
      line.querySelector(".fault").textContent = fault ?? "";
      line.querySelector(".score").textContent = score === null ? "–" : score.toFixed(1);
      line.classList.toggle("leads", score !== null && score === best);
    });
    put(card.querySelector(".references"), image.references);
    return card;
  }

  const full = () => cards.childElementCount >= MOST;

  function extend() {
    const next = first + cards.childElementCount;
    cards.append(...shown.slice(next, next + STEP).map(make));
    more.hidden = first + cards.childElementCount >= shown.length;
    back.hidden = first === 0;
  }

  function begin(at) {
    first = at;
    cards.replaceChildren();
    extend();
  }

  function turn(at) {
    begin(at);
    document.getElementById("images").scrollIntoView();
  }

  function show() {
    const choice = Object.fromEntries(new FormData(form));
    const places = [...images.keys()].filter((place) => passes(images[place], choice));
    shown = sorted(places, choice);
    const of = images.length.toLocaleString("en");
    count.textContent = shown.length === images.length
      ? `${of} images` : `${shown.length.toLocaleString("en")} of ${of} images`;
    begin(0);
  }

  // In the address rows stand by their names, which outlive a change of the suite.
  const named = (field) => ["row", "better", "than", "fault"].includes(field);

  function write() {
    const address = new URLSearchParams();
    for (const [field, value] of new FormData(form)) {
      if (value !== form.elements[field].dataset.default) {
        address.set(field, (named(field) && rows[value]) || value);
      }
    }
    history.replaceState(null, "", `#${address}`);
  }

  function read() {
    const address = new URLSearchParams(location.hash.slice(1));
    for (const field of form.elements) {
      if (!field.name) continue;
      const asked = address.get(field.name) ?? field.dataset.default;
      const row = rows.indexOf(asked);
      field.value = named(field.name) && row >= 0 ? row : asked;
      if (field.selectedIndex === -1) field.value = field.dataset.default;
    }
    show();
  }

  form.addEventListener("input", () => { write(); show(); });
  form.addEventListener("reset", () => setTimeout(() => { write(); show(); }));
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => (full() ? turn(first + MOST) : extend()));
  back.addEventListener("click", () => turn(first - MOST));
  addEventListener("hashchange", read);
  new IntersectionObserver((seen) => {
    if (seen.some((each) => each.isIntersecting) && !full()) extend();
  }, { rootMargin: "100% 0px" }).observe(more);
  form.hidden = false;
  read();
})();
