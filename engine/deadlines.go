package engine

// deadlines orders instruments by when they next want to act: a binary heap
// on (key, id). Keys may be early, never late: an instrument whose deadline
// moved away is found out when it reaches the top.
type deadlines []*instrument

func (h deadlines) before(i, j int) bool {
	a, b := h[i], h[j]
	return a.key < b.key || (a.key == b.key && a.def.ID < b.def.ID)
}

func (h deadlines) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *deadlines) push(x *instrument) {
	x.place = len(*h)
	*h = append(*h, x)
	h.fix(x)
}

// fix restores the order after x.key changed.
func (h deadlines) fix(x *instrument) {
	i := x.place
	for i > 0 && h.before(i, (i-1)/2) {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h.before(child+1, child) {
			child++
		}
		if !h.before(child, i) {
			return
		}
		h.swap(i, child)
		i = child
	}
}
