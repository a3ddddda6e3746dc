// A table that is wider than the page says that it scrolls.
for (const box of document.querySelectorAll(".scroll")) {
  const note = document.createElement("p");
  note.className = "scrolls";
  note.textContent = "This table goes on to the right: scroll it sideways.";
  const tell = () => (box.scrollWidth > box.clientWidth + 1 ? box.before(note) : note.remove());
  new ResizeObserver(tell).observe(box);
}
