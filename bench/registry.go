package bench

import "slices"

// All are the measurements of the report, in its order; data is the folder of
// recorded sessions, "" = none. A new line is its function and its place here.
func All(data string) []Measurement {
	return slices.Concat(
		clockFloors(),
		pingPongFloors(),
		storeFloors(),
		channelFloors(),
		decodeLines(),
		bookLines(),
		indicatorLines(),
		pathLines(),
		ringLines(),
		logLines(),
		rowLines(),
		sessionLines(data),
		collectorLines(),
		processLines(),
		socketLines(),
		readableLines(),
		sustainedLines(),
	)
}
