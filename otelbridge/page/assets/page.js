// Keeps the page current: asks for the same page again and takes over what has changed.
//
// The server alone makes HTML and escapes it. A document that XMLHttpRequest has parsed runs no
// scripts, and its nodes are compared and moved here: no text becomes HTML in the browser.
"use strict";

(() => {
  const EVERY_MS = 2000;
  const SLOWEST_MS = 8000;
  const LIMIT_MS = 15000;

  const live = document.getElementById("live");
  const state = document.getElementById("live-state");
  const button = document.getElementById("pause");
  let tag = null;
  let timer = 0;
  let failures = 0;
  let isPaused = false;
  let isAsking = false;

  // Announced by screen readers, so only a change is written.
  function say(text) {
    if (state.textContent !== text) state.textContent = text;
    document.querySelector("main").classList.toggle("stale", failures > 1);
  }

  function keeps(node) {
    return node.nodeType === Node.ELEMENT_NODE && node.hasAttribute("data-keep");
  }

  function key(node) {
    return node.nodeType === Node.ELEMENT_NODE ? node.id : "";
  }

  function isAlike(ours, theirs) {
    return ours.nodeName === theirs.nodeName && key(ours) === key(theirs);
  }

  function takeAttributes(ours, theirs) {
    for (const each of [...ours.attributes]) {
      if (!theirs.hasAttribute(each.name) && each.name !== "class") ours.removeAttribute(each.name);
    }
    if (!theirs.hasAttribute("class") && ours.nodeName !== "MAIN") ours.removeAttribute("class");
    for (const each of theirs.attributes) {
      if (ours.getAttribute(each.name) !== each.value) ours.setAttribute(each.name, each.value);
    }
  }

  function take(ours, theirs) {
    if (keeps(ours) || ours.isEqualNode(theirs)) return;
    if (ours.nodeType !== Node.ELEMENT_NODE) {
      if (ours.nodeValue !== theirs.nodeValue) ours.nodeValue = theirs.nodeValue;
      return;
    }
    takeAttributes(ours, theirs);
    takeChildren(ours, theirs);
  }

  // Nodes with an id stay the same nodes, wherever they move: focus and selection stay with them.
  function takeChildren(ours, theirs) {
    const known = new Map();
    for (const each of ours.children) if (each.id) known.set(each.id, each);
    const wanted = new Set([...theirs.children].map((each) => each.id).filter(Boolean));
    let next = ours.firstChild;
    for (const their of [...theirs.childNodes]) {
      while (next && key(next) && !wanted.has(key(next)) && !keeps(next)) {
        const gone = next;
        next = next.nextSibling;
        gone.remove();
      }
      const same = known.get(key(their));
      if (same && same !== next) {
        ours.insertBefore(same, next);
        take(same, their);
      } else if (next && isAlike(next, their)) {
        take(next, their);
        next = next.nextSibling;
      } else {
        ours.insertBefore(document.importNode(their, true), next);
      }
    }
    while (next) {
      const gone = next;
      next = next.nextSibling;
      gone.remove();
    }
  }

  function succeeded(request) {
    failures = 0;
    if (request.status === 200 && request.responseXML) {
      tag = request.getResponseHeader("etag");
      document.title = request.responseXML.title;
      takeChildren(document.body, request.responseXML.body);
    }
    say("Live");
  }

  function failed() {
    failures += 1;
    // One answer that is missing is no news.
    if (failures > 1) say("Not reached, trying again");
  }

  function ask() {
    if (isPaused || isAsking || document.hidden) return;
    isAsking = true;
    const request = new XMLHttpRequest();
    request.open("GET", "./");
    request.responseType = "document";
    request.timeout = LIMIT_MS;
    if (tag) request.setRequestHeader("if-none-match", tag);
    request.onloadend = () => {
      isAsking = false;
      if (request.status === 200 || request.status === 304) succeeded(request);
      else failed();
      plan(Math.min(EVERY_MS * 2 ** failures, SLOWEST_MS));
    };
    request.send();
  }

  function plan(delay) {
    clearTimeout(timer);
    if (!isPaused && !document.hidden) timer = setTimeout(ask, delay);
  }

  button.addEventListener("click", () => {
    isPaused = !isPaused;
    button.textContent = isPaused ? "Resume" : "Pause";
    if (isPaused) say("Paused");
    plan(0);
  });
  // A tab that nobody sees asks for nothing.
  document.addEventListener("visibilitychange", () => plan(0));

  live.hidden = false;
  say("Live");
  plan(EVERY_MS);
})();
