package fleet

import (
	"net/http"
	"strconv"

	"fleetman.example/kit/env"
)

// ReadMaxVehicles reads the largest number of vehicles that a service stores, which bounds its memory.
func ReadMaxVehicles(r *env.Reader) int {
	return r.Int("MAX_VEHICLES", 20_000, 1, 1_000_000, "vehicles known at once; a report of another is answered 409")
}

// TooManyVehicles returns the error of a report of one vehicle more than most. Its status is 409: the
// same report is accepted once there is room.
func TooManyVehicles(name string, most int) error {
	return &tooMany{FieldError{"name", strconv.Quote(name), "one of the " + strconv.Itoa(most) + " vehicles known (MAX_VEHICLES)"}}
}

type tooMany struct{ FieldError }

// HTTPStatus returns 409.
func (*tooMany) HTTPStatus() int { return http.StatusConflict }
