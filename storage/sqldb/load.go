package sqldb

import (
	"gorm.io/gorm"

	"busbar/ocpi"
	"busbar/parties"
	"busbar/storage/seal"
)

// load reads the platform with this id, or all when it is empty, by one query
// for each table.
func load(tx *gorm.DB, id parties.PlatformID, sealer *seal.Sealer) ([]parties.Platform, error) {
	only := func(column string) *gorm.DB {
		if id == "" {
			return tx
		}
		return tx.Where(column+" = ?", string(id))
	}
	var rows []platformRow
	if err := only("id").Order("id").Find(&rows).Error; err != nil {
		return nil, err
	}
	a := assembly{platforms: make([]parties.Platform, len(rows)), index: make(map[string]int, len(rows))}
	for i := range rows {
		p, err := rows[i].platform(sealer)
		if err != nil {
			return nil, err
		}
		a.platforms[i], a.index[rows[i].ID] = p, i
	}
	for _, add := range []func(*gorm.DB) error{a.addParties, a.addEndpoints, a.addTokens} {
		if err := add(only("platform_id")); err != nil {
			return nil, err
		}
	}
	return a.platforms, nil
}

// assembly joins the rows of the other tables to their platforms.
type assembly struct {
	platforms []parties.Platform
	index     map[string]int
}

func (a *assembly) addParties(tx *gorm.DB) error {
	var approved []partyRow
	if err := tx.Session(&gorm.Session{}).Where("approved_position IS NOT NULL").
		Order("platform_id, approved_position").Find(&approved).Error; err != nil {
		return err
	}
	for i := range approved {
		claim, err := approved[i].claim()
		if err != nil {
			return err
		}
		p := &a.platforms[a.index[approved[i].PlatformID]]
		p.Approved = append(p.Approved, claim)
	}
	var registered []partyRow
	if err := tx.Session(&gorm.Session{}).Where("registered_position IS NOT NULL").
		Order("platform_id, registered_position").Find(&registered).Error; err != nil {
		return err
	}
	for i := range registered {
		claim, err := registered[i].claim()
		if err != nil {
			return err
		}
		role := ocpi.CredentialsRole{PartyRole: claim}
		if details := registered[i].BusinessDetails; details != nil {
			role.BusinessDetails = []byte(*details)
		}
		p := &a.platforms[a.index[registered[i].PlatformID]]
		p.Roles = append(p.Roles, role)
	}
	return nil
}

func (a *assembly) addEndpoints(tx *gorm.DB) error {
	var rows []endpointRow
	if err := tx.Order("platform_id, position").Find(&rows).Error; err != nil {
		return err
	}
	for i := range rows {
		p := &a.platforms[a.index[rows[i].PlatformID]]
		p.Endpoints = append(p.Endpoints, rows[i].endpoint())
	}
	return nil
}

func (a *assembly) addTokens(tx *gorm.DB) error {
	var rows []tokenRow
	if err := tx.Order("platform_id, position").Find(&rows).Error; err != nil {
		return err
	}
	for i := range rows {
		token, err := rows[i].token()
		if err != nil {
			return err
		}
		p := &a.platforms[a.index[rows[i].PlatformID]]
		p.Inbound = append(p.Inbound, token)
	}
	return nil
}
