package simulator

import "busbar/ocpi"

// The cast of the sample network. All names are invented; the parties' home
// countries decide where their Locations stand.

// company is a platform of the cast.
type company struct {
	name    string
	parties []castParty
}

type castParty struct {
	code    string // country code and party id
	role    ocpi.Role
	name    string
	website string
}

// cpoCompanies run charge points. The second serves three CPOs as a white-label
// platform; the last one is CPO and eMSP at once.
func cpoCompanies() []company {
	return []company{
		{"Kievit Laden", []castParty{
			{"NLKVL", ocpi.RoleCPO, "Kievit Laden B.V.", "https://kievit-laden.example"},
		}},
		{"Eisvogel Ladedienste", []castParty{
			{"DEEVL", ocpi.RoleCPO, "Eisvogel Ladedienste GmbH", "https://eisvogel-laden.example"},
			{"DEGSP", ocpi.RoleCPO, "Stadtwerke Grünspecht", "https://gruenspecht-strom.example"},
			{"ATSTB", ocpi.RoleCPO, "Steinbock Ladenetz", "https://steinbock-ladenetz.example"},
		}},
		{"Hirondelle Recharge", []castParty{
			{"FRHIR", ocpi.RoleCPO, "Hirondelle Recharge SAS", "https://hirondelle-recharge.example"},
		}},
		{"Gandras Įkrova", []castParty{
			{"LTGAN", ocpi.RoleCPO, "UAB Gandras Įkrova", "https://gandras-ikrova.example"},
			{"LVDZN", ocpi.RoleCPO, "SIA Dzenis Uzlāde", "https://dzenis-uzlade.example"},
			{"LTGAN", ocpi.RoleEMSP, "Gandras Kortelė", "https://gandras-kortele.example"},
		}},
	}
}

// emspCompanies issue cards.
func emspCompanies() []company {
	return []company{
		{"Ooievaar Pas", []castParty{
			{"NLOOI", ocpi.RoleEMSP, "Ooievaar Pas B.V.", "https://ooievaar-pas.example"},
		}},
		{"Zaunkönig Mobil", []castParty{
			{"DEZKM", ocpi.RoleEMSP, "Zaunkönig Mobil GmbH", "https://zaunkoenig-mobil.example"},
			{"ATZKM", ocpi.RoleEMSP, "Zaunkönig Mobil Österreich", "https://zaunkoenig-mobil.example/at"},
		}},
		{"Mésange Mobilité", []castParty{
			{"FRMES", ocpi.RoleEMSP, "Mésange Mobilité SAS", "https://mesange-mobilite.example"},
		}},
	}
}

// scspCompanies decide how fast cars charge.
func scspCompanies() []company {
	return []company{
		{"Stroomloods", []castParty{
			{"NLSLO", ocpi.RoleSCSP, "Stroomloods Slim Laden B.V.", "https://stroomloods.example"},
		}},
	}
}

// country is what Locations in a country have in common.
type country struct {
	alpha3   string
	timeZone string
	language string
	vat      float64 // percent
	streets  []string
	cities   []city
}

// city is a place with the middle of its coordinates and a postal code.
type city struct {
	name, postalCode    string
	latitude, longitude float64
}

// countries are those of the cast's CPOs.
func countries() map[string]country {
	return map[string]country{
		"NL": {"NLD", "Europe/Amsterdam", "nl", 21, []string{"Stationsplein", "Havenkade", "Molenweg", "Lindelaan", "Marktstraat"}, []city{
			{"Utrecht", "3511 CE", 52.0894, 5.1100}, {"Groningen", "9726 AE", 53.2113, 6.5641},
			{"Eindhoven", "5611 AC", 51.4433, 5.4797}, {"Zwolle", "8011 CW", 52.5055, 6.0906},
			{"Middelburg", "4331 BK", 51.4950, 3.6170}, {"Apeldoorn", "7311 NZ", 52.2093, 5.9694},
			{"Alkmaar", "1815 BB", 52.6376, 4.7396}, {"Venlo", "5913 AT", 51.3648, 6.1718},
		}},
		"DE": {"DEU", "Europe/Berlin", "de", 19, []string{"Bahnhofstraße", "Am Markt", "Hafenweg", "Lindenallee", "Schillerstraße"}, []city{
			{"Münster", "48143", 51.9565, 7.6343}, {"Kassel", "34117", 51.3155, 9.4925},
			{"Rostock", "18055", 54.0783, 12.1313}, {"Erfurt", "99084", 50.9726, 11.0379},
			{"Freiburg", "79098", 47.9961, 7.8494}, {"Regensburg", "93047", 49.0134, 12.1016},
			{"Oldenburg", "26122", 53.1435, 8.2146}, {"Chemnitz", "09111", 50.8322, 12.9252},
		}},
		"AT": {"AUT", "Europe/Vienna", "de", 20, []string{"Bahnhofplatz", "Hauptstraße", "Seeuferstraße", "Mozartgasse"}, []city{
			{"Innsbruck", "6020", 47.2633, 11.4010}, {"Linz", "4020", 48.2904, 14.2918},
			{"Villach", "9500", 46.6180, 13.8480}, {"Bregenz", "6900", 47.5031, 9.7397},
			{"Graz", "8020", 47.0726, 15.4163}, {"Zell am See", "5700", 47.3239, 12.7960},
		}},
		"FR": {"FRA", "Europe/Paris", "fr", 20, []string{"Place de la Gare", "Rue du Moulin", "Quai des Bateliers", "Avenue Jean Jaurès"}, []city{
			{"Strasbourg", "67000", 48.5850, 7.7345}, {"Nantes", "44000", 47.2173, -1.5417},
			{"Dijon", "21000", 47.3234, 5.0272}, {"Annecy", "74000", 45.9022, 6.1218},
			{"Tours", "37000", 47.3895, 0.6937}, {"Perpignan", "66000", 42.6960, 2.8794},
			{"Amiens", "80000", 49.8905, 2.3085}, {"Valence", "26000", 44.9280, 4.8934},
		}},
		"LT": {"LTU", "Europe/Vilnius", "lt", 21, []string{"Stoties g.", "Parko g.", "Laisvės al.", "Upės g."}, []city{
			{"Vilnius", "02100", 54.6706, 25.2847}, {"Kaunas", "44280", 54.8866, 23.9318},
			{"Klaipėda", "92131", 55.7212, 21.1370}, {"Šiauliai", "76343", 55.9237, 23.3144},
			{"Panevėžys", "35112", 55.7394, 24.3600}, {"Druskininkai", "66116", 54.0180, 23.9720},
		}},
		"LV": {"LVA", "Europe/Riga", "lv", 21, []string{"Stacijas iela", "Ostas iela", "Liepu iela"}, []city{
			{"Rīga", "LV-1050", 56.9463, 24.1197}, {"Liepāja", "LV-3401", 56.5120, 21.0130},
			{"Valmiera", "LV-4201", 57.5380, 25.4230}, {"Jelgava", "LV-3001", 56.6450, 23.7270},
		}},
	}
}
