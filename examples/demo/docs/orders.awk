# Writes N orders that look like a year of trade. The same N always gives the same file.
function next_number(limit) {
    seed = (seed * 16807) % 2147483647
    return seed % limit
}
BEGIN {
    seed = 20240229
    n_cities = split("Aarhus Bergen Ghent Graz Leiden Lyon Malmö Odense Oslo Porto Tampere Turin", cities, " ")
    n_items = split("lamp chair desk shelf stool bench clock mirror", items, " ")
    print "id,city,item,price,day"
    for (id = 1; id <= n; id++) {
        item = next_number(n_items) + 1
        month = next_number(12) + 1
        day = next_number(28) + 1
        # Some cities order more than others.
        city = cities[(next_number(n_cities) < 7 ? next_number(5) : next_number(n_cities)) + 1]
        price = 15 * item * item + next_number(1000) / 100
        printf "%d,%s,%s,%.2f,2024-%02d-%02d\n", id, city, items[item], price, month, day
    }
}
