package engine

// deadlines orders instruments by when they next want to act: a binary heap
// on (key, id). Keys may be early, never late: an instrument whose deadline
// moved away is found out when it reaches the top.
type deadlines []deadline

// deadline is an instrument's entry. What is compared lies in the heap: to look
// at the first one, as every packet does, is to look at nobody's state.
type deadline struct {
	key int64 // receive time
	id  uint32
	in  *instrument
}

func (a *deadline) before(b *deadline) bool { return a.key < b.key || a.key == b.key && a.id < b.id }

func (h deadlines) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].in.place, h[j].in.place = i, j
}

func (h *deadlines) push(x *instrument) {
	x.place = len(*h)
	*h = append(*h, deadline{x.key, x.def.ID, x})
	h.fix(x)
}

// fix restores the order after x.key changed.
func (h deadlines) fix(x *instrument) {
	i := x.place
	h[i].key = x.key
	for i > 0 && h[i].before(&h[(i-1)/2]) {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h[child+1].before(&h[child]) {
			child++
		}
		if !h[child].before(&h[i]) {
			return
		}
		h.swap(i, child)
		i = child
	}
}
