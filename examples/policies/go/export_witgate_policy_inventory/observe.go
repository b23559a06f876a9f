// Package export_witgate_policy_inventory counts the readings of each server.
package export_witgate_policy_inventory

import (
	"strconv"

	. "wit_component/witgate_policy_inventory"
	"wit_component/witgate_policy_store"

	"go.bytecodealliance.org/pkg/wit/types"
)

// Observe returns what to remember of a reading.
func Observe(server Server, _ Catalogue, _ uint64) []Change {
	key := "sighting/readings/" + server.Name
	before, err := strconv.ParseUint(witgate_policy_store.Get(key).SomeOr("0"), 10, 63)
	if err != nil {
		before = 0
	}
	return []Change{{Key: key, Value: wit_types.Some(strconv.FormatUint(before+1, 10))}}
}
