// SPDX-License-Identifier: Apache-2.0
// Comfort only: every page works without this file.
"use strict";
(() => {
  const code = document.querySelector("[data-code]");
  if (code) {
    code.addEventListener("input", () => {
      if (code.selectionStart !== code.value.length) return;
      const symbols = code.value.toUpperCase().replace(/[\s-]/g, "");
      code.value = symbols.length > 4 ? symbols.slice(0, 4) + "-" + symbols.slice(4, 28) : symbols;
    });
  }

  // A code or an invitation does not stay in the history of a browser that others may use.
  if (/user_code|[?&]token=/.test(location.search)) {
    const scrub = () => history.replaceState(null, "", location.pathname);
    document.addEventListener("submit", scrub);
    document.addEventListener("click", (event) => {
      if (event.target.closest("a[href^='/']")) scrub();
    });
  }

  // Nor does a failure: a page that is loaded again is not one that fails again.
  if (/[?&]sso_error=/.test(location.search)) history.replaceState(null, "", location.pathname);

  // The page that leads on is not one to come back to.
  const follow = document.querySelector("a[data-follow]");
  if (follow) location.replace(follow.href);

  // What allows is dead for some seconds whenever the page comes into view, so that no
  // press that was meant for something else lands on it.
  const hold = document.querySelector("[data-hold]");
  if (hold) {
    let timer;
    const wait = () => {
      clearTimeout(timer);
      hold.setAttribute("aria-disabled", "true");
      timer = setTimeout(() => hold.removeAttribute("aria-disabled"), Number(hold.dataset.hold) * 1000);
    };
    hold.addEventListener("click", (event) => {
      if (hold.hasAttribute("aria-disabled")) event.preventDefault();
    });
    wait();
    addEventListener("focus", wait);
    addEventListener("pageshow", wait);
    document.addEventListener("visibilitychange", wait);
  }

  // Counted from the server's answer: this machine's clock may be wrong.
  const left = document.querySelector("[data-left]");
  if (left) {
    const end = performance.now() + Number(left.dataset.left) * 1000;
    const tick = () => {
      const seconds = Math.max(0, Math.round((end - performance.now()) / 1000));
      const clock = Math.floor(seconds / 60) + ":" + String(seconds % 60).padStart(2, "0");
      left.textContent = seconds === 0 ? left.dataset.over : left.dataset.words.replace("{clock}", clock);
    };
    tick();
    setInterval(tick, 1000);
  }
})();
