package experiment

import (
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
		return strconv.ParseFloat(e.Value, 64)
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

// String returns the form that ParseGoal reads, with both bounds if there are
// two.
func (g Goal) String() string {
	text := fmt.Sprintf("%s, %s: %s", g.Arm, g.Fault, g.Figure)
	if g.Over != "" {
		text += " over " + g.Over
	}
	if g.AtLeast != "" {
		text += " >= " + string(g.AtLeast)
	}
	if g.AtMost != "" {
		text += " <= " + string(g.AtMost)
	}
	return text + fmt.Sprintf(" at %v%%", math.Round(float64(g.Confidence)*1e6)/1e4)
}
