// Package junit writes results as JUnit XML, which CI systems show.
package junit

import (
	"encoding/xml"
	"fmt"
	"io"
)

// Suite is the element of a test suite. Add counts its cases.
type Suite struct {
	XMLName  xml.Name `xml:"testsuite"`
	Name     string   `xml:"name,attr"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Errors   int      `xml:"errors,attr"`
	Time     string   `xml:"time,attr,omitempty"` // in seconds
	Cases    []Case   `xml:"testcase"`
}

// Case is one result: with neither a failure nor an error, it is good.
type Case struct {
	Class   string   `xml:"classname,attr"`
	Name    string   `xml:"name,attr"`
	Time    string   `xml:"time,attr,omitempty"` // in seconds
	Failure *Problem `xml:"failure"`
	Error   *Problem `xml:"error"`
	Output  string   `xml:"system-out,omitempty"`
}

// Problem is why a case is not good.
type Problem struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// Add adds a case to the suite.
func (s *Suite) Add(c Case) {
	s.Cases = append(s.Cases, c)
	s.Tests++
	if c.Failure != nil {
		s.Failures++
	}
	if c.Error != nil {
		s.Errors++
	}
}

// Write writes a file with the root element, a Suite or what holds several.
func Write(w io.Writer, root any) error {
	text, err := xml.MarshalIndent(root, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	return err
}
