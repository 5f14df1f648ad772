package fleet

import (
	"net/http"
	"strconv"

	"fleetman.example/kit/env"
)

// ReadMaxVehicles reads how many vehicles a service knows at once, which bounds its memory.
func ReadMaxVehicles(r *env.Reader) int {
	return r.Int("MAX_VEHICLES", 20_000, 1, 1_000_000, "vehicles known at once; a report of another is answered 409")
}

// TooManyVehicles is the error of a report whose vehicle would be one more than most: 409, because
// the same report is taken once there is room.
func TooManyVehicles(name string, most int) error {
	return &tooMany{FieldError{"name", strconv.Quote(name), "one of the " + strconv.Itoa(most) + " vehicles known (MAX_VEHICLES)"}}
}

type tooMany struct{ FieldError }

// HTTPStatus returns 409: the report conflicts with what the service keeps.
func (*tooMany) HTTPStatus() int { return http.StatusConflict }
