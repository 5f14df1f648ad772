package lint

type proof struct{}

var provesEjection, provesGatewayErrors, provesTries, provesGivingUp, provesTwice, provesBudget, provesEjectingItself, provesFault, provesReplaced, provesWords, provesLibraryTries *proof
