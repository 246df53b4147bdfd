// Names in tables break after a dot, slash or underscore, and nowhere else.
document.querySelectorAll("article td code").forEach((code) => {
  code.classList.toggle("long", code.textContent.length > 60)
  code.innerHTML = code.innerHTML.replace(/[._/]+(?=[A-Za-z*])/g, "$&<wbr>")
})
