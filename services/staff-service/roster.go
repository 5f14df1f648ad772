package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"fleetman.example/kit/fleet"
)

//go:embed roster.json
var builtIn []byte

// maxRoster is the largest size of a roster's file, in bytes.
const maxRoster = 16 << 20

// roster has the driver of each vehicle, by the vehicle's name. A driver's photo is a file name.
type roster map[string]fleet.Driver

// openRoster reads the roster in the file at path, or the built-in one if path is empty.
func openRoster(path string) (roster, error) {
	if path == "" {
		return readRoster(builtIn)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxRoster+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxRoster {
		return nil, fmt.Errorf("too large: must be at most %d bytes", maxRoster)
	}
	return readRoster(text)
}

// readRoster parses an array of {"vehicle", "driver", "photo"}. Errors name the entry, counted from 1.
func readRoster(text []byte) (roster, error) {
	var entries []struct{ Vehicle, Driver, Photo string }
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&entries); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) { // its own text names Go types
			err = fmt.Errorf("a %s at byte %d", wrong.Value, wrong.Offset)
		}
		return nil, fmt.Errorf("%w: must be an array of {\"vehicle\", \"driver\", \"photo\"}, all strings", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text after the array: must be one array")
	}
	if len(entries) == 0 {
		return nil, errors.New("empty: must have an entry")
	}
	r := make(roster, len(entries))
	for i, e := range entries {
		_, twice := r[e.Vehicle]
		switch {
		case fleet.CheckName(e.Vehicle) != nil:
			return nil, fmt.Errorf("entry %d: vehicle: %w", i+1, fleet.CheckName(e.Vehicle))
		case twice:
			return nil, fmt.Errorf("entry %d: vehicle: %q: must be in one entry only", i+1, e.Vehicle)
		case e.Driver == "" || strings.ContainsFunc(e.Driver, unprintable):
			return nil, fmt.Errorf("entry %d: driver: %q: must be a name of printable text", i+1, fleet.Shown(e.Driver))
		case fleet.CheckName(e.Photo) != nil:
			return nil, fmt.Errorf("entry %d: photo: %q: must be a file name", i+1, fleet.Shown(e.Photo))
		}
		r[e.Vehicle] = fleet.Driver{Name: e.Driver, Photo: e.Photo}
	}
	return r, nil
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// driver returns the driver of a vehicle. A numbered vehicle of a larger fleet ("City Truck 17") has the
// driver of the vehicle without a number.
func (r roster) driver(vehicle string) (fleet.Driver, bool) {
	if d, ok := r[vehicle]; ok {
		return d, true
	}
	route := strings.TrimRight(vehicle, "0123456789")
	if len(route) == len(vehicle) || !strings.HasSuffix(route, " ") {
		return fleet.Driver{}, false
	}
	d, ok := r[strings.TrimSuffix(route, " ")]
	return d, ok
}

// withPhoto returns a copy of the roster with one photo for all drivers.
func (r roster) withPhoto(file string) roster {
	same := make(roster, len(r))
	for vehicle, d := range r {
		same[vehicle] = fleet.Driver{Name: d.Name, Photo: file}
	}
	return same
}
