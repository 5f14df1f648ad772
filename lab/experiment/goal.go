package experiment

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Figure is one that goals and theory may have.
type Figure struct {
	Name string
	Unit string // of its values: share, s, 1/s, 1, cores, bytes
	Max  bool   // the highest value of all runs: without an interval, no goal can be on it
}

// unit is what a bound without a formula may be for a figure with a unit.
type unit struct {
	percent, duration bool
	most              float64
	must, mustOver    string // mustOver is for the difference to another arm
}

var units = map[string]unit{
	"share": {true, false, 1, "must be a share from 0% to 100%", "must be a difference of shares, from -100% to 100%"},
	"s":     {false, true, 3 * 3600, "must be a duration such as 3ms, from 0s to 3h", "must be a difference of durations such as -3ms, from -3h to 3h"},
	"cores": {true, false, math.Inf(1), "must be a number of cores, at least 0, or percent of one", "must be a number of cores, or percent of one"},
}

var otherUnit = unit{false, false, math.Inf(1), "must be a number of at least 0, without a unit", "must be a number without a unit"}

// unfit returns what the bound must be, or "" if a figure with the unit can have it.
// Formulas of the sweep's values fit: one that is never reached at some points is valid.
func (b Bound) unfit(name string, over bool) string {
	value, err := b.Value(nil)
	if name == "" || err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
		return "" // the value has an error of its own
	}
	u, known := units[name]
	if !known {
		u = otherUnit
	}
	least, must := 0.0, u.must
	if over {
		least, must = -u.most, u.mustOver
	}
	_, notNumber := strconv.ParseFloat(string(b), 64)
	_, notDuration := time.ParseDuration(string(b))
	if strings.HasSuffix(string(b), "%") && !u.percent || notNumber != nil && notDuration == nil && !u.duration || value < least || value > u.most {
		return must
	}
	return ""
}

// mistake is one in a field of a goal, or in the goal if field is empty.
type mistake struct{ field, text string }

// mistakes returns those that do not depend on the experiment. Unit is that of the figure, or
// empty.
func (g Goal) mistakes(unit string) (all []mistake) {
	note := func(wrong bool, field, format string, args ...any) {
		if wrong {
			all = append(all, mistake{field, fmt.Sprintf(format, args...)})
		}
	}
	note(g.Over != "" && g.Over == g.Arm, "over", "%.60q: must be another arm", g.Over)
	note(g.AtLeast == "" && g.AtMost == "", "", "no bound: must have atLeast, atMost or both")
	for _, bound := range []struct {
		field string
		b     Bound
	}{{"atLeast", g.AtLeast}, {"atMost", g.AtMost}} {
		if bound.b != "" {
			must := bound.b.unfit(unit, g.Over != "")
			note(must != "", bound.field, "%s: %s", bound.b, must)
		}
	}
	least, wrongLeast := g.AtLeast.Value(nil)
	most, wrongMost := g.AtMost.Value(nil)
	note(g.AtLeast != "" && g.AtMost != "" && wrongLeast == nil && wrongMost == nil && least > most, "",
		"atLeast %s, atMost %s: atLeast must not be more than atMost", g.AtLeast, g.AtMost)
	note(g.Confidence < .5 || g.Confidence >= 1, "confidence", "%v: must be at least 50%%, and less than 100%%", float64(g.Confidence))
	return all
}

// Check returns the mistakes that do not depend on the experiment. Unit is that of the figure.
func (g Goal) Check(unit string) error {
	var all []error
	for _, wrong := range g.mistakes(unit) {
		all = append(all, errors.New(strings.TrimPrefix(wrong.field+": "+wrong.text, ": ")))
	}
	return errors.Join(all...)
}

// Bound is a number, as it is written: 0.998, 99.8%, 3ms (in seconds), or a
// formula of the sweep's values, 1 - pow(share, attempts).
type Bound string

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bound) UnmarshalText(text []byte) error {
	*b = Bound(strings.TrimSpace(string(text)))
	if _, err := b.node(); err != nil || *b == "" {
		return fmt.Errorf("%.60q: must be a number, a share such as 99.8%%, a duration such as 3ms, or a formula of + - * / pow, min and max", text)
	}
	return nil
}

// Value returns the bound at a point of the sweep.
func (b Bound) Value(at Point) (float64, error) {
	node, err := b.node()
	if err != nil {
		return 0, err
	}
	value, err := evaluate(node, at)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", b, err)
	}
	return value, nil
}

// names returns the identifiers of a formula but for its functions, each once.
func (b Bound) names() (all []string) {
	node, err := b.node()
	if err != nil {
		return nil
	}
	called := map[ast.Expr]bool{}
	ast.Inspect(node, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			called[n.Fun] = true
		case *ast.Ident:
			if !called[n] {
				all = append(all, n.Name)
			}
		}
		return true
	})
	return unique(all)
}

// node is the bound as an expression.
func (b Bound) node() (ast.Expr, error) {
	text := string(b)
	if digits, percent := strings.CutSuffix(text, "%"); percent {
		number, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		if err != nil {
			return nil, fmt.Errorf("%.60q: must be a share such as 99.8%%", text)
		}
		text = strconv.FormatFloat(number/100, 'g', -1, 64)
	} else if d, err := time.ParseDuration(text); err == nil {
		text = strconv.FormatFloat(d.Seconds(), 'g', -1, 64)
	}
	if len(text) > 200 {
		return nil, fmt.Errorf("%.60q: must be at most 200 characters", text)
	}
	return parser.ParseExpr(text)
}

// functions are those of formulas.
var functions = map[string]func(a, b float64) float64{"pow": math.Pow, "min": math.Min, "max": math.Max}

func evaluate(e ast.Expr, at Point) (float64, error) {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return evaluate(e.X, at)
	case *ast.BasicLit:
		if number, err := strconv.ParseFloat(e.Value, 64); err == nil || errors.Is(err, strconv.ErrRange) {
			return number, nil // too large a number is infinite
		}
	case *ast.Ident:
		if value, ok := at.Number(e.Name); ok {
			return value, nil
		}
		return 0, fmt.Errorf("%s: must be the name of a sweep's value that is a number", e.Name)
	case *ast.UnaryExpr:
		value, err := evaluate(e.X, at)
		if e.Op == token.SUB {
			return -value, err
		}
	case *ast.BinaryExpr:
		return operate(e.Op, e.X, e.Y, at)
	case *ast.CallExpr:
		name, _ := e.Fun.(*ast.Ident)
		if name != nil && functions[name.Name] != nil && len(e.Args) == 2 {
			a, b, err := both(e.Args[0], e.Args[1], at)
			return functions[name.Name](a, b), err
		}
	}
	return 0, fmt.Errorf("must be a formula of numbers, the sweep's values, + - * /, pow, min and max")
}

func both(x, y ast.Expr, at Point) (a, b float64, err error) {
	if a, err = evaluate(x, at); err == nil {
		b, err = evaluate(y, at)
	}
	return a, b, err
}

func operate(op token.Token, x, y ast.Expr, at Point) (float64, error) {
	a, b, err := both(x, y, at)
	switch {
	case err != nil:
		return 0, err
	case op == token.ADD:
		return a + b, nil
	case op == token.SUB:
		return a - b, nil
	case op == token.MUL:
		return a * b, nil
	case op == token.QUO:
		return a / b, nil
	}
	return 0, fmt.Errorf("%s: must be one of + - * /", op)
}

// defaultConfidence is that of a goal's interval.
const defaultConfidence Share = 0.95

var goalForm = regexp.MustCompile(`^\s*([^,:]+?)\s*,\s*([^,:]+?)\s*:\s*([A-Za-z0-9_.]+)(?:\s+over\s+(\S+))?\s*(>=|<=)\s*(.+?)(?:\s+at\s+([0-9.]+\s*%))?\s*$`)

// ParseGoal reads the form of a flag: ARM, FAULT: FIGURE [over ARM] >= BOUND [at
// 95%].
func ParseGoal(text string) (Goal, error) {
	m := goalForm.FindStringSubmatch(text)
	if m == nil {
		return Goal{}, fmt.Errorf("%.100q: must be ARM, FAULT: FIGURE >= BOUND, such as %q", text, "library, bad-replica: good >= 99.8% at 95%")
	}
	g := Goal{Arm: m[1], Fault: m[2], Figure: m[3], Over: m[4], Confidence: defaultConfidence}
	var bound Bound
	if err := bound.UnmarshalText([]byte(m[6])); err != nil {
		return Goal{}, err
	}
	if m[5] == ">=" {
		g.AtLeast = bound
	} else {
		g.AtMost = bound
	}
	if m[7] != "" {
		if err := g.Confidence.UnmarshalText([]byte(m[7])); err != nil {
			return Goal{}, err
		}
	}
	return g, nil
}

// String returns the form that ParseGoal reads; of two bounds, both.
func (g Goal) String() string {
	text := fmt.Sprintf("%s, %s: %s", g.Arm, g.Fault, g.Figure)
	if g.Over != "" {
		text += " over " + g.Over
	}
	if g.AtLeast != "" {
		text += " >= " + string(g.AtLeast)
	}
	if g.AtLeast != "" && g.AtMost != "" {
		text += " and"
	}
	if g.AtMost != "" {
		text += " <= " + string(g.AtMost)
	}
	return text + fmt.Sprintf(" at %v%%", math.Round(float64(g.Confidence)*1e6)/1e4)
}
