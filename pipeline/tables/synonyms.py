"""People's words for COCO's 80 categories.

Words are lemmas in lower case. A word is matched against the end of a phrase ("red fire hydrant" ends in
"fire hydrant"), the longest first. Every match still needs an object of the category in the image, so a
word with several senses ("mouse", "bat", "monitor") is listed when captions of pictures that show the
category nearly always mean it, and left out otherwise ("sign", "light", "glasses", "desk", "flower").
"""

from __future__ import annotations

from collections.abc import Iterator

CATEGORIES: dict[str, str] = {
    "person": "man, woman, people, lady, gentleman, guy, girl, boy, child, kid, baby, toddler, infant,"
    " adult, teenager, teen, youth, youngster, human, individual, male, female, crowd, audience, team,"
    " family, couple, group, duo, trio, crew, staff, mother, mom, mommy, father, dad, daddy, parent, son,"
    " daughter, brother, sister, sibling, husband, wife, grandmother, grandma, grandfather, grandpa, friend,"
    " bride, groom, newlywed, neighbor, player, batter, hitter, catcher, baseball pitcher, umpire, referee,"
    " outfielder, infielder, baseman, goalie, goalkeeper, athlete, teammate, opponent, competitor,"
    " contestant, champion, coach, skier, snowboarder, skateboarder, skater, boarder, surfer, wakeboarder,"
    " windsurfer, kitesurfer, parasailer, swimmer, diver, bather, cyclist, bicyclist, biker, rider,"
    " motorcyclist, jockey, horseman, equestrian, cowboy, cowgirl, rancher, runner, jogger, hiker, climber,"
    " walker, pedestrian, passenger, commuter, traveler, traveller, tourist, visitor, driver, conductor,"
    " pilot, spectator, onlooker, bystander, viewer, attendee, guest, customer, shopper, patron, beachgoer,"
    " sunbather, partygoer, policeman, policewoman, officer, cop, guard, lifeguard, soldier, fireman,"
    " firefighter, worker, workman, employee, laborer, farmer, fisherman, vendor, seller, salesman,"
    " merchant, shopkeeper, barista, bartender, waiter, waitress, chef, baker, cook, butcher, doctor, nurse,"
    " dentist, patient, teacher, student, schoolchild, scientist, businessman, businesswoman,"
    " businessperson, presenter, photographer, cameraman, musician, guitarist, singer, performer, dancer,"
    " actor, actress, artist, clown, chairman, president, monk, nun, priest, member, participant, camper,"
    " instructor",
    "bicycle": "cycle, tricycle, mountain bike, pedal bike, push bike",
    "car": "automobile, auto, sedan, suv, taxi, taxicab, cab, minivan, mini van, jeep, hatchback,"
    " convertible, limo, limousine, station wagon, coupe",
    "motorcycle": "motorbike, motor bike, motor cycle, moped, scooter, dirt bike, vespa",
    "airplane": "plane, aeroplane, jet, airliner, jetliner, aircraft, biplane, seaplane, glider, bomber",
    "bus": "double decker, doubledecker, double-decker, schoolbus, minibus",
    "train": "locomotive, train engine, steam engine, train car, rail car, railcar, railway car, passenger"
    " car, subway car, cable car, box car, boxcar, freight car, trolley car, street car, streetcar, monorail",
    "truck": "lorry, pickup, pick up, firetruck, fire engine, semi, semi-truck, tractor-trailer, eighteen"
    " wheeler, trailer",
    "boat": "ship, sailboat, canoe, kayak, yacht, ferry, rowboat, raft, vessel, gondola, barge, tugboat,"
    " tug, speedboat, motorboat, dinghy, houseboat, cruise liner, lifeboat, catamaran",
    "traffic light": "stoplight, stop light, traffic lamp, signal light, red light, green light, signal",
    "fire hydrant": "hydrant, fire plug, fireplug",
    "stop sign": "stopsign",
    "parking meter": "meter, parking machine",
    "bench": "pew",
    "bird": "duck, duckling, goose, geese, gosling, seagull, gull, pigeon, dove, parrot, parakeet,"
    " cockatoo, macaw, owl, eagle, hawk, falcon, vulture, swan, pelican, crow, raven, ostrich, emu,"
    " flamingo, rooster, hen, chicken, chick, penguin, sparrow, finch, robin, cardinal, peacock, heron,"
    " egret, stork, ibis, sandpiper, hummingbird, woodpecker, kingfisher, puffin, blackbird, songbird, fowl,"
    " waterfowl, mallard, lovebird, canary",
    "cat": "kitten, kitty, tabby, tomcat, calico, siamese, feline",
    "dog": "puppy, pup, doggy, doggie, pooch, canine, hound, beagle, poodle, terrier, bulldog, pug, corgi,"
    " dachshund, labrador, retriever, collie, chihuahua, dalmatian, german shepherd, husky, rottweiler,"
    " spaniel, mutt, greyhound, sheepdog, lab",
    "horse": "pony, foal, mare, stallion, colt, racehorse, clydesdale",
    "sheep": "lamb, ram, ewe",
    "cow": "bull, calf, cattle, ox, oxen, steer, heifer, longhorn, bovine, water buffalo, bison",
    "elephant": "",
    "bear": "cub, grizzly, panda",
    "zebra": "",
    "giraffe": "",
    "backpack": "back pack, rucksack, knapsack, bookbag, book bag",
    "umbrella": "parasol, sunshade, umberella",
    "handbag": "purse, hand bag, pocketbook, tote, tote bag, shoulder bag, messenger bag, satchel, shopping"
    " bag",
    "tie": "necktie, bowtie, bow-tie",
    "suitcase": "luggage, baggage, suit case, luggage bag, travel bag, briefcase, brief case, duffel bag,"
    " duffle bag, carry on, suite case",
    "frisbee": "frisbie, disc, disk",
    "skis": "ski",
    "snowboard": "snow board",
    "sports ball": "ball, basketball, volleyball, football, soccerball, softball",
    "kite": "parasail",
    "baseball bat": "bat",
    "baseball glove": "glove, mitt",
    "skateboard": "skate board, longboard",
    "surfboard": "surf board, boogie board, boogieboard, bodyboard, body board, paddle board, paddleboard,"
    " wakeboard, wake board, sailboard",
    "tennis racket": "racket, racquet, raquet",
    "bottle": "",
    "wine glass": "wineglass, champagne glass, champagne flute, goblet, martini glass",
    "cup": "mug, teacup, tumbler, drinking glass, shot glass, juice glass, beer glass, water glass",
    "fork": "",
    "knife": "cleaver",
    "spoon": "teaspoon, tablespoon, ladle",
    "bowl": "",
    "banana": "plantain",
    "apple": "granny smith",
    "sandwich": "burger, hamburger, cheeseburger, panini, sub, hoagie, grilled cheese, blt, sandwich half",
    "orange": "tangerine, clementine, mandarin, satsuma",
    "broccoli": "brocolli, broccolli, brocoli, floret, broccoli crown",
    "carrot": "carrot stick, carrot slice",
    "hot dog": "hotdog, chili dog, corn dog, frankfurter, wiener, hot-dog",
    "pizza": "pizza pie, pizza slice",
    "donut": "doughnut, dough nut, cruller",
    "cake": "cupcake, cheesecake, shortcake, cake slice",
    "chair": "armchair, highchair, recliner, rocker, stool, barstool",
    "couch": "sofa, loveseat, love seat, settee, sectional, futon, sofa bed",
    "potted plant": "plant, houseplant, flower pot, flowerpot, fern, bonsai tree, bonsai",
    "bed": "bunk, cot, crib",
    "dining table": "table, diningtable, tabletop, table top",
    "toilet": "urinal, commode, toilet bowl, toilet seat, toilette",
    "tv": "television, t.v., tv set, television set, flatscreen, monitor, screen, desktop computer, desktop",
    "laptop": "laptop computer, lap top, laptop pc, notebook computer, macbook, macbook pro, netbook, lap"
    " top computer",
    "mouse": "",
    "remote": "remote control, controller, wiimote, wii mote",
    "keyboard": "key board",
    "cell phone": "cellphone, phone, smartphone, iphone, telephone, blackberry, mobile device",
    "microwave": "microwave oven, microwave machine",
    "oven": "stove, stovetop, stove top, cooker, kitchen range",
    "toaster": "toaster oven",
    "sink": "basin, washbasin",
    "refrigerator": "fridge, freezer, refridgerator, ice box",
    "book": "paperback, textbook, novel, hardback",
    "clock": "",
    "vase": "urn",
    "scissors": "scissor, shear",
    "teddy bear": "teddy, teddybear, stuffed bear, stuffed animal, stuffed toy, stuffed dog, stuffed cat,"
    " stuffed sheep, stuffed elephant, stuffed monkey, stuffed giraffe, stuffed rabbit, stuffed bunny,"
    " toy bear, plush, plush bear, plush toy, plush animal, plushie, bear doll",
    "hair drier": "hair dryer, hairdryer, blow dryer, blowdryer, blow drier",
    "toothbrush": "tooth brush",
}  # fmt: skip
"""A category and other words for it, in order of COCO's ids. A word that ends in another of its category's
words ("tennis ball" in "ball") needs no listing."""

PREFERRED: dict[str, tuple[str, ...]] = {
    "bear": ("bear", "teddy bear"),
    "bag": ("handbag", "backpack", "suitcase"),
    "bike": ("bicycle", "motorcycle"),
    "board": ("surfboard", "skateboard", "snowboard"),
    "computer": ("laptop", "tv"),
    "glass": ("wine glass", "cup"),
    "tram": ("train", "bus"),
    "trolley": ("train", "bus"),
    "van": ("car", "truck", "bus"),
}
"""Words that captions use for one of several categories, the likelier first."""

GENERAL: dict[str, tuple[str, ...]] = {
    "animal": ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"),
    "pet": ("cat", "dog", "bird"),
    "livestock": ("cow", "sheep", "horse"),
    "herd": ("cow", "sheep", "horse", "elephant", "zebra", "giraffe"),
    "flock": ("bird", "sheep"),
    "vehicle": ("car", "truck", "bus", "motorcycle", "train"),
    "traffic": ("car", "truck", "bus", "motorcycle"),
    "fruit": ("banana", "apple", "orange"),
    "vegetable": ("broccoli", "carrot"),
    "veggie": ("broccoli", "carrot"),
    "utensil": ("fork", "knife", "spoon"),
    "silverware": ("fork", "knife", "spoon"),
    "cutlery": ("fork", "knife", "spoon"),
    "flatware": ("fork", "knife", "spoon"),
    "electronic": ("tv", "laptop", "mouse", "remote", "keyboard", "cell phone"),
}
"""Words for all objects of several categories."""

COLLECTIVE = frozenset(
    {
        "audience", "baggage", "broccoli", "cattle", "couple", "crew", "crowd", "cutlery", "duo",
        "family", "flatware", "flock", "fruit", "group", "herd", "livestock", "luggage", "people",
        "silverware", "staff", "team", "traffic", "trio",
    }
)  # fmt: skip
"""Nouns that take all instances though their form is singular."""

OTHER_THINGS = frozenset(
    {
        "bean bag", "bill board", "boxing glove", "bulletin board", "cd player", "chalk board",
        "changing table", "check book", "chess board", "chopping board", "circuit board", "cotton ball",
        "cutting board", "dash board", "disco ball", "diving board", "dvd player", "egg plant",
        "eye glass", "flower bed", "garbage bag", "garden bed", "gas meter", "head board",
        "ironing board", "jet ski", "looking glass", "magnifying glass", "meat ball", "media player",
        "merry go round horse", "message board", "movie screen", "mp3 player", "music player",
        "operating table", "oven glove", "oven mitt", "paper airplane", "paper bag", "paper plane",
        "pay phone", "ping pong table", "plastic bag", "pool table", "power plant", "prairie dog",
        "projection screen", "projector screen", "railroad tie", "reading glass", "record player",
        "rice ball", "river bed", "road bed", "rocking horse", "saw horse", "score board", "sea horse",
        "sign board", "ski glove", "sleeping bag", "snow ball", "stained glass", "sun glass", "tea bag",
        "touch screen", "trash bag", "truck bed", "turn signal", "vampire bat", "water meter",
        "water ski", "white board", "window screen", "zip tie",
    }
)  # fmt: skip
"""Compounds that are no kind of what their last word names."""

SINGULAR_ONLY = frozenset({"glass"})
"""Words whose plural is mostly another thing (glasses that people wear)."""


def by_word() -> dict[str, tuple[tuple[str, ...], ...]]:
    """Word -> alternatives in order of preference, each the categories that it takes together.

    ``bike`` -> ``(("bicycle",), ("motorcycle",))``; ``fruit`` -> ``(("banana", "apple", "orange"),)``.
    """
    words: dict[str, tuple[tuple[str, ...], ...]] = {word: (names,) for word, names in GENERAL.items()}
    words |= {word: tuple((name,) for name in names) for word, names in PREFERRED.items()}
    for word, category in _listed():
        words.setdefault(word, ((category,),))
    return words


def _listed() -> Iterator[tuple[str, str]]:
    yield from ((category, category) for category in CATEGORIES)
    for category, words in CATEGORIES.items():
        yield from ((word.strip(), category) for word in words.split(",") if word.strip())
