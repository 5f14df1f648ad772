// Command position-simulator replays recorded tracks as the position reports of a fleet.
package main
