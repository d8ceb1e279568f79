(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("frames").textContent);
  const last = data.frame.length - 1;
  if (last < 0) return;
  const film = document.getElementById("film");
  const range = document.getElementById("scrub");
  const where = document.getElementById("where");
  const cursors = document.querySelectorAll(".cursor");
  const outputs = document.querySelectorAll("output[data-key]");
  range.max = last;
  let at = -1;

  // Index of the value nearest to the sought one in a list that does not descend.
  function nearest(list, sought) {
    let low = 0, high = last;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (list[middle] <= sought) low = middle; else high = middle;
    }
    return Math.abs(list[high] - sought) < Math.abs(list[low] - sought) ? high : low;
  }

  function text(value, unit) {
    if (value === null || value === undefined) return "–";
    return unit === "%" ? (100 * value).toFixed(value < 0.1 ? 2 : 1) + " %" : value.toFixed(1) + " " + unit;
  }

  // Move everything to a frame; the film only if it is not what moved.
  function show(index, seek) {
    index = Math.max(0, Math.min(last, index));
    if (index === at) return;
    at = index;
    for (const cursor of cursors) cursor.style.left = 100 * data.place[at] + "%";
    for (const output of outputs)
      output.textContent = text(data.values[output.dataset.key][at], output.dataset.unit);
    range.value = at;
    where.textContent = "frame " + data.number[at] +
      (data.seconds ? " · " + data.seconds[at].toFixed(2) + " s" : "");
    // The middle of the frame, so that rounding does not show the one before.
    if (film && seek) film.currentTime = data.film[at] + 0.001;
  }

  for (const area of document.querySelectorAll("[data-scrub]")) {
    const follow = (event) => {
      const box = area.getBoundingClientRect();
      const place = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
      if (film) film.pause();
      show(nearest(data.place, place), true);
    };
    area.addEventListener("pointerdown", (event) => {
      area.setPointerCapture(event.pointerId);
      follow(event);
    });
    area.addEventListener("pointermove", (event) => {
      if (area.hasPointerCapture(event.pointerId)) follow(event);
    });
  }
  range.addEventListener("input", () => { if (film) film.pause(); show(Number(range.value), true); });
  for (const button of document.querySelectorAll(".go"))
    button.addEventListener("click", () => {
      if (film) film.pause();
      show(nearest(data.frame, Number(button.dataset.frame)), true);
      document.getElementById("along").scrollIntoView();
    });
  if (film) {
    const follow = () => {
      if (film.paused) return;
      show(nearest(data.film, film.currentTime), false);
      requestAnimationFrame(follow);
    };
    film.addEventListener("play", follow);
  }
  show(0, false);
})();
