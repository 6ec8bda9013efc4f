package rediscache

import (
	"context"
	"strings"
)

// policyField is what INFO calls the setting maxmemory-policy.
const policyField = "maxmemory_policy:"

// warnOfEviction logs that Redis may throw away a part of the log to make room:
// of what is gone nobody can always tell. One that does not say is believed.
func (b *Broadcasts) warnOfEviction(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	info, err := b.client.Info(ctx, "memory").Result()
	if err != nil {
		return
	}
	for line := range strings.Lines(info) {
		policy, found := strings.CutPrefix(strings.TrimSpace(line), policyField)
		if found && strings.HasPrefix(policy, "allkeys-") {
			b.cfg.Logger.WarnContext(ctx, "redis may evict broadcasts that are under way, which are lost then; "+
				"set maxmemory-policy to noeviction", "maxmemory-policy", policy)
		}
	}
}
