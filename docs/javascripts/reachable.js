// What scrolls sideways is reached by the keyboard, too; and the button that copies code is no landmark of the page.
const mend = () => {
  for (const box of document.querySelectorAll("article .md-typeset__scrollwrap, article pre > code")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
  for (const buttons of document.querySelectorAll(".md-code__nav")) buttons.setAttribute("role", "none");
};

new MutationObserver(mend).observe(document.querySelector("article"), { childList: true, subtree: true });
addEventListener("resize", mend);
mend();
