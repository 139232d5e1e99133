// What stands where by the page's width. Runs before anything is drawn, so that nothing moves afterwards.
"use strict";
{
  const wide = matchMedia("(min-width: 861px)"), phone = matchMedia("(max-width: 619px)");
  const arrange = () => {
    const more = document.getElementById("more");
    for (const details of document.querySelectorAll(".fold")) details.open = wide.matches;
    if (phone.matches) document.getElementById("readout").after(more); // the player comes first
    else document.getElementById("choices").append(more);
  };
  for (const query of [wide, phone]) query.addEventListener("change", arrange);
  document.addEventListener("readystatechange", arrange, { once: true }); // as soon as all elements are there
}
