// Redraws the explorer of `explorer.py` from what is chosen: runs after every choice and click.
// Bokeh gives it `study` (the data), `chosen` (the selects), `panels` and the event's `cb_obj`.
// Bokeh's own models are changed through their properties only; `study.unit` is what is clicked.

const N_STEPS = 65534, MISSING = 65535   // as in `explorer.quantised`
const decoded = ({values, low, high}) =>
  Float32Array.from(values, (v) => v === MISSING ? NaN : low + (high - low) * v / N_STEPS)
const text = (value, digits = 2) => Number.isFinite(value) ? value.toFixed(digits) : "–"
const escaped = (label) => label.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`)

const layer = study.layers.indexOf(chosen.layer.value)   // -1: all layers
const colouring = study.colourings.find((one) => one.label === chosen.colour.value)
const units = study.units
const n_units = units.layer.length

function column_of(network, name) {
  if (name === "layer" || name === "channel") return Float32Array.from(units[name])
  const column = study.networks[network].columns[name]
  return column === undefined ? new Float32Array(n_units).fill(NaN) : decoded(column)
}

function draw_units(panel, map) {
  const place = study.positions[map.positions]
  const x = decoded(place.x_mm), y = decoded(place.y_mm)
  // What is not at a place is neither drawn nor hit by a click.
  if (layer >= 0) for (let i = 0; i < n_units; i++) if (units.layer[i] !== layer) x[i] = NaN
  const value = column_of(map.network, colouring.column)
  const shown = chosen.show.value === "smoothed map" ? 0 : 1
  panel.units.data = {
    x, y, value,
    layer: Array.from(units.layer, (l) => study.layers[l]),
    channel: units.channel, row: units.row, column: units.column,
    direction: column_of(map.network, "preferred_direction_deg"),
    dsi: column_of(map.network, "dsi"), reliability: column_of(map.network, "reliability"),
  }
  panel.glyph.setv({fill_alpha: shown, size: layer < 0 ? 4 : study.sizes[layer]})
  panel.mapper.setv({palette: colouring.palette, low: colouring.low, high: colouring.high})
  panel.ticker.ticks = colouring.ticks
  panel.bar.title = colouring.label + (value.some(Number.isFinite) ? "" : ": not measured here")
}

function draw_map(panel, map) {
  const side = study.map_pixels, sheet = layer < 0 ? 0 : study.sheet_mm[layer]
  const [pixels] = panel.image.data.image   // an array of Bokeh's own kind: filled, not replaced
  pixels.fill(0)
  const image = layer < 0 ? undefined : map.images[`${study.layers[layer]} ${colouring.map}`]
  const seen = image !== undefined && chosen.show.value !== "units"
  if (seen) {
    const bytes = new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength)
    for (let i = 0; i < pixels.length; i++) {
      const angle = image.angle[i], strength = image.strength[i] / 255
      if (angle === 255) continue   // outside the region of the map
      const rgb = study.wheel[angle]
      for (let c = 0; c < 3; c++)
        bytes[4 * i + c] = study.grey[c] + strength * (rgb[c] - study.grey[c])
      bytes[4 * i + 3] = 255
    }
  }
  panel.image.data.side = [sheet]
  panel.image.change.emit()
  const found = map.pinwheels.map((one, i) => ({...one, i}))
    .filter((one) => seen && one.layer === study.layers[layer] && one.map === colouring.map)
  panel.pinwheels.data = {
    x: found.map((one) => one.x_mm), y: found.map((one) => one.y_mm),
    fill: found.map((one) => one.sign < 0 ? "white" : "black"),
    line: found.map((one) => one.sign < 0 ? "black" : "white"),
    turn: found.map((one) => one.sign < 0 ? "counter-clockwise" : "clockwise"),
  }
}

function nearest_unit(panel, x_mm, y_mm) {
  const {x, y} = panel.units.data
  let best = 0, least = Infinity
  for (let i = 0; i < n_units; i++) {
    const distance = Math.hypot(x[i] - x_mm, y[i] - y_mm)
    if (distance < least) [best, least] = [i, distance]
  }
  return best
}

function curves_of(network, unit) {
  const {curves, scale, halves, halves_scale, shuffled_sd} = study.networks[network]
  const n = study.directions_deg.length
  const mean = study.directions_deg.map((_, d) => curves[unit * n + d] / 32767 * scale[unit])
  const half = (sign) => mean.map((value, d) =>
    value + sign * halves[unit * n + d] / 127 * halves_scale[unit])
  const odd = half(1), even = half(-1)
  const level = mean.reduce((sum, value) => sum + value, 0) / n
  return {odd, even, mean, level, spread: 1.96 * shuffled_sd[unit]}
}

function draw_unit(panel, map, unit) {
  const {odd, even, mean, level, spread} = curves_of(map.network, unit)
  const closed = (values) => [...values, values[0]]
  const directions = [...study.directions_deg, study.directions_deg[0] + 360]
  panel.curve.data = {
    direction: directions, odd: closed(odd), even: closed(even), mean: closed(mean),
    low: directions.map(() => level - spread), high: directions.map(() => level + spread),
  }
  const {dots, dots_scale} = study.networks[map.network]
  const n = study.coherences.length
  const against = (side) => study.coherences.map((_, c) =>
    dots[(2 * unit + side) * n + c] === -32768 ? NaN
      : dots[(2 * unit + side) * n + c] / 32767 * dots_scale[unit])
  const preferred = against(0), opposite = against(1)
  panel.dots.data = {coherence: study.coherences, preferred, opposite}
  draw_field(panel, map, unit)
  const x = panel.units.data.x[unit], y = panel.units.data.y[unit]
  panel.marker.data = {x: [x], y: [y]}
  panel.facts.text = `${facts(map, unit)}<details><summary>numbers</summary>${
    table_of("direction (°)", study.directions_deg, {mean, odd, even}, "tuning")}${
    table_of("coherence", study.coherences, {preferred, opposite}, "dots")}</details>`
}

function draw_field(panel, map, unit) {
  const field = study.fields[study.layers[units.layer[unit]]]
  const screen = study.screen, per = screen.pixels_per_degree
  const centre = (at) => (screen.margin_px + field.first_px + at * field.stride_px + 0.5
    - screen.size_px / 2) / per
  const x = centre(units.column[unit]), y = -centre(units.row[unit]), size = field.size_px / per
  panel.field.data = {x: [x], y: [y], size: [size]}
  const diameter = column_of(map.network, "preferred_diameter_deg")[unit]
  panel.aperture.data = Number.isFinite(diameter)
    ? {x: [0], y: [0], radius: [diameter / 2]} : {x: [], y: [], radius: []}
}

function facts(map, unit) {
  const name = study.layers[units.layer[unit]]
  const lines = study.colourings.filter((one) => one.unit !== "")
    .map((one) => [one, column_of(map.network, one.column)[unit]])
    .filter(([one, value]) => Number.isFinite(value))
    .map(([one, value]) => `<span class="fact">${escaped(one.label)}
      <b data-column="${one.column}">${text(value, one.digits)}</b></span>`)
  const p = column_of(map.network, "vector_strength_p")[unit]
  return `<p><b class="unit" data-unit="${unit}">${name}, channel ${units.channel[unit]},
    row ${units.row[unit]}, column ${units.column[unit]}</b> of ${escaped(map.label)};
    direction tuning p = ${text(p, 3)} (labels permuted)</p><p>${lines.join(" ")}</p>`
}

function table_of(head, values, columns, name) {
  const cells = (d) => Object.entries(columns)
    .map(([label, list]) => `<td data-column="${label}">${text(list[d], 3)}</td>`).join("")
  const rows = values.map((v, d) => `<tr data-row="${+v.toFixed(2)}"><th>${+v.toFixed(2)}</th>${cells(d)}</tr>`)
  const heads = [head, ...Object.keys(columns)].map((label) => `<th>${label}</th>`).join("")
  return `<table class="${name}"><tr>${heads}</tr>${rows.join("")}</table>`
}

// A click shows the unit that is nearest to it, in both panels.
const clicked = panels.find((panel) => panel.sheet === cb_obj.origin)
if (clicked !== undefined) study.unit = nearest_unit(clicked, cb_obj.x, cb_obj.y)
const outside = layer >= 0 && units.layer[study.unit] !== layer
if (outside || study.unit < 0) study.unit = study.examples[Math.max(layer, 0)]

const other_map = panels.some((panel) => panel.choice === cb_obj)
for (const panel of panels) {
  const map = study.maps.find((one) => one.label === panel.choice.value)
  if (panel.choice === cb_obj || clicked === undefined && !other_map) {
    draw_units(panel, map)
    draw_map(panel, map)
  }
  draw_unit(panel, map, study.unit)
}
