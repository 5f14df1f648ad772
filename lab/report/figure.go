package report

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"fleetman.example/lab/stats"
)

// Estimate is a value with its interval; all are null without a value, Low and
// High without an interval.
type Estimate struct {
	Value *float64 `json:"value"`
	Low   *float64 `json:"low,omitempty"`
	High  *float64 `json:"high,omitempty"`
}

func (e *Estimate) interval(i stats.Interval) {
	e.Low, e.High = new(micro(i.Low)), new(micro(i.High))
}

// text is the value with its interval: 13.3 % (10.5..16.8).
func (e Estimate) text(u Unit) string { return u.text(*e.Value) + u.between(*e.Value, e.Low, e.High) }

// Figure is one column of one arm with one fault, of all its runs. Its value is
// null when no run has one, and when the sample cannot support it; Note is then
// what can be said.
type Figure struct {
	Estimate
	N int `json:"n"` // requests of a share or a quantile, else runs
	// Runs are the values of each run, in the order of Arm.Runs.
	Runs []*float64 `json:"runs"`
	Note string     `json:"note,omitempty"`

	counts []stats.Count // of each run, of a share
	scale  float64       // of a share: 1, or the rate
	effect float64       // of a share: how many requests are worth an independent one
	sample stats.Sample  // of a quantile
}

// figure computes the column of an arm.
func (c Column) figure(runs []Run, confidence float64) (f Figure) {
	if c.can != nil {
		runs = slices.DeleteFunc(slices.Clone(runs), func(r Run) bool { return !c.can(&r) })
	}
	for i := range runs {
		f.Runs = append(f.Runs, c.of(&runs[i]))
	}
	switch {
	case c.share != nil:
		f.shares(c, runs, confidence)
	case c.quantile > 0:
		f.quantiles(c, runs, confidence)
	default:
		f.mean(c, runs, confidence)
	}
	return f
}

// of is the column's value of one run; nil when the run has none.
func (c Column) of(r *Run) *float64 {
	switch {
	case c.share != nil:
		count := c.share(r)
		if count.N == 0 {
			return nil
		}
		return new(micro(count.Share() * c.scaled(r)))
	case c.quantile > 0:
		value, _, ok := stats.NewSample(r.latencies).Quantile(c.quantile, stats.Confidence)
		if !ok {
			return nil
		}
		return new(micro(value))
	}
	if v := c.value(r); v != nil {
		return new(micro(*v))
	}
	return nil
}

// scaled is what a share is multiplied by.
func (c Column) scaled(r *Run) float64 {
	if c.scale == nil {
		return 1
	}
	return c.scale(r)
}

func (f *Figure) shares(c Column, runs []Run, confidence float64) {
	for i := range runs {
		f.counts = append(f.counts, c.share(&runs[i]))
	}
	pooled, effective := stats.Pool(f.counts)
	if f.N = int(pooled.N); f.N == 0 {
		return
	}
	f.scale, f.effect = c.scaled(&runs[0]), pooled.N/effective.N
	f.Value = new(micro(pooled.Share() * f.scale))
	i := stats.Share(effective, confidence)
	f.interval(stats.Interval{Low: i.Low * f.scale, High: i.High * f.scale})
}

func (f *Figure) quantiles(c Column, runs []Run, confidence float64) {
	f.sample = sampleOf(runs)
	if f.N = len(f.sample.Sorted); f.N == 0 {
		return
	}
	value, i, ok := f.sample.Quantile(c.quantile, confidence)
	if ok {
		f.Value = new(micro(value))
		f.interval(i)
		return
	}
	above := f.N - sort.Search(f.N, func(i int) bool { return f.sample.Sorted[i] > value })
	f.Note = fmt.Sprintf("%d of %d above %s", above, f.N, c.Unit.text(value))
}

// sampleOf is the latencies of some runs.
func sampleOf(runs []Run) stats.Sample {
	var all [][]float64
	for _, r := range runs {
		all = append(all, r.latencies)
	}
	return stats.NewSample(all...)
}

// mean is of the runs that have a value. Three runs or more have Student's
// interval, fewer that of the parts of a run, if the column has parts.
func (f *Figure) mean(c Column, runs []Run, confidence float64) {
	var values, parts []float64
	for i, v := range f.Runs {
		if v == nil {
			continue
		}
		values = append(values, *v)
		if c.parts != nil {
			parts = append(parts, c.parts(&runs[i])...)
		}
	}
	f.N = len(values)
	switch missing := len(runs) - f.N; {
	case f.N == 0:
		if len(runs) > 0 {
			f.Note = c.never
		}
		return
	case missing > 0 && c.never != "":
		f.Note = fmt.Sprintf("%d of %d runs %s", missing, len(runs), c.never)
	}
	if c.worst {
		f.Value = new(slices.Max(values))
		return
	}
	mean, i, ok := stats.Mean(values, confidence)
	f.Value = new(micro(mean))
	if len(values) < stats.FewestPairs {
		var of float64
		of, i, ok = stats.Mean(parts, confidence)
		i.Low, i.High = i.Low+mean-of, i.High+mean-of
	}
	if i.Low = max(i.Low, min(mean, 0)); ok { // no figure is negative but by chance
		f.interval(i)
	}
}

// Text formats the figure: 13.3 % (10.5..16.8).
func (f Figure) Text(u Unit) string {
	if f.Value == nil {
		if f.Note == "" {
			return "-"
		}
		return f.Note
	}
	text := f.text(u)
	if low, high := f.spread(); f.Low == nil {
		text += strings.Replace(u.between(*f.Value, low, high), "(", "(runs ", 1)
	}
	if f.Note != "" {
		text += ", " + f.Note
	}
	return text
}

// spread is the lowest and the highest value of a run; nil without any.
func (f Figure) spread() (low, high *float64) {
	for _, v := range f.Runs {
		if v != nil && (low == nil || *v < *low) {
			low = v
		}
		if v != nil && (high == nil || *v > *high) {
			high = v
		}
	}
	return low, high
}

// Columns are those that some arm has.
func (f Fault) Columns() []Column {
	return slices.DeleteFunc(slices.Clone(Columns), func(c Column) bool {
		return !slices.ContainsFunc(f.Arms, func(a Arm) bool { _, has := a.Figures[c.Name]; return has })
	})
}

// Difference is a figure less that of another arm, paired run by run; null when
// one of them is.
type Difference struct {
	Estimate
	// Shown reports whether the interval does not contain 0. Without an interval
	// no difference is shown.
	Shown bool `json:"shown"`
	Pairs int  `json:"pairs"` // of runs
	// Within is true for fewer than three pairs: the interval covers chance within
	// the runs, not what differs from run to run.
	Within bool `json:"within,omitempty"`
}

// over computes the difference of two arms' figures, and the interval of the same. For
// shares they are of the pooled counts, with stats.PairedShares. For other figures they
// are the mean of the pairs and Student's interval, of three pairs or more; below that,
// the difference of the figures, and what their own intervals leave open.
func (c Column) over(mine, others Figure, confidence float64) (d Difference) {
	if mine.Value == nil || others.Value == nil {
		return d
	}
	var pairs []float64
	runs := min(len(mine.Runs), len(others.Runs))
	for i := range runs {
		if a, b := mine.Runs[i], others.Runs[i]; a != nil && b != nil {
			pairs = append(pairs, *a-*b)
		}
	}
	if d.Pairs = len(pairs); c.quantile > 0 {
		d.Pairs = runs // also when a run alone has no such quantile
	}
	d.Within = d.Pairs < stats.FewestPairs
	d.Value = new(micro(*mine.Value - *others.Value))
	switch {
	case c.share != nil:
		d.interval(stats.PairedShares(mine.counts, others.counts, [2]float64{mine.scale, others.scale}, confidence))
	case len(pairs) >= stats.FewestPairs:
		mean, i, _ := stats.Mean(pairs, confidence)
		d.Value = new(micro(mean))
		d.interval(i)
	case mine.Low != nil && others.Low != nil:
		d.interval(stats.Interval{Low: *mine.Low - *others.High, High: *mine.High - *others.Low})
	}
	return d
}

func (d *Difference) interval(i stats.Interval) {
	d.Estimate.interval(i)
	d.Shown = !i.Contains(0)
}

// Text formats the difference; one that is not shown is called so.
func (d Difference) Text(u Unit) string {
	if d.Value == nil {
		return "-"
	}
	text := d.text(u)
	if d.Low != nil && !d.Shown {
		text = "none shown" + u.between(math.NaN(), d.Low, d.High)
	}
	switch {
	case d.Within && d.Pairs == 1:
		text += ", one run"
	case d.Within:
		text += fmt.Sprintf(", %d runs", d.Pairs)
	}
	return text
}

// Unit formats values.
type Unit struct {
	Name     string // as people read it: %
	Base     string // of values in JSON and CSV: share, s, cores
	factor   float64
	decimals int
	zeros    bool // at the end are kept
	fits     bool // milliseconds or seconds, by the value
}

// MarshalText writes the unit of values in JSON.
func (u Unit) MarshalText() ([]byte, error) { return []byte(u.Base), nil }

// Units.
var (
	percent      = Unit{Name: "%", Base: "share", factor: 100, decimals: 1}
	duration     = Unit{Name: "s", Base: "s", factor: 1, decimals: 2, fits: true}
	seconds3     = Unit{Name: "s", Base: "s", factor: 1, decimals: 3}
	wholeSeconds = Unit{Name: "s", Base: "s", factor: 1}
	perSecond    = Unit{Base: "1/s", factor: 1, decimals: 2}
	ratio        = Unit{Base: "1", factor: 1, decimals: 2, zeros: true}
	cores        = Unit{Name: "cores", Base: "cores", factor: 1, decimals: 2, zeros: true}
	percentCore  = Unit{Name: "%", Base: "cores", factor: 100, decimals: 1}
	megabytes    = Unit{Name: "MB", Base: "bytes", factor: 1e-6}
)

// of is the unit in which v reads best.
func (u Unit) of(v float64) Unit {
	switch v = math.Abs(v); {
	case math.IsNaN(v):
		return Unit{}
	case !u.fits || v >= 1:
		return u
	case v >= .1:
		return Unit{Name: "ms", factor: 1000}
	case v >= .01:
		return Unit{Name: "ms", factor: 1000, decimals: 1}
	}
	return Unit{Name: "ms", factor: 1000, decimals: 2, zeros: true}
}

// text is a value with its unit.
func (u Unit) text(v float64) string {
	u = u.of(v)
	return strings.TrimSpace(u.number(v) + " " + u.Name)
}

// between is the interval of a value, in brackets; nothing when its ends look the
// same. Ends in the value's unit do not repeat it.
func (u Unit) between(v float64, low, high *float64) string {
	if low == nil || high == nil || u.text(*low) == u.text(*high) {
		return ""
	}
	from, to := u.of(*low), u.of(*high)
	if from.Name == to.Name && to.Name == u.of(v).Name {
		return fmt.Sprintf(" (%s..%s)", from.number(*low), to.number(*high))
	}
	if from.Name == to.Name {
		return fmt.Sprintf(" (%s..%s)", from.number(*low), u.text(*high))
	}
	return fmt.Sprintf(" (%s..%s)", u.text(*low), u.text(*high))
}

// number has at most the unit's decimals. A percentage just below 100 is rounded
// down: 99.96 % is not 100 %.
func (u Unit) number(v float64) string {
	v *= u.factor
	if scale := math.Pow10(u.decimals); u.Name == "%" && v < 100 && v > 99 {
		v = math.Floor(v*scale+1e-6) / scale
	}
	text := strconv.FormatFloat(v, 'f', u.decimals, 64)
	if strings.Contains(text, ".") && !u.zeros {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	if strings.Trim(text, "-0.") == "" {
		text = strings.TrimPrefix(text, "-")
	}
	return text
}

// micro rounds to a millionth.
func micro(v float64) float64 { return math.Round(v*1e6) / 1e6 }
