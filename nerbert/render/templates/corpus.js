"use strict";
const blocks = [...document.querySelectorAll("#blocks > details")];
const names = blocks.map((block) => block.querySelector("h3").textContent.toLowerCase());
const box = document.getElementById("filter");
const found = document.getElementById("found");
document.querySelector(".tools").hidden = false;
box.addEventListener("input", () => {
  const wanted = box.value.trim().toLowerCase();
  let count = 0;
  blocks.forEach((block, index) => {
    block.hidden = !names[index].includes(wanted);
    count += !block.hidden;
  });
  found.textContent = wanted ? `${count} of ${blocks.length}` : "";
});
const unfold = (open) => () => blocks.forEach((block) => { if (!block.hidden) block.open = open; });
document.getElementById("open").addEventListener("click", unfold(true));
document.getElementById("close").addEventListener("click", unfold(false));
